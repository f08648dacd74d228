PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help train test fuzz lint format clean

help:
	@echo "make train   install into .venv, then train on the demo images: dfd train"
	@echo "make test    run the tests"
	@echo "make fuzz    a long run of made-up requests against the server: schemathesis"
	@echo "make lint    style, types and import rules"
	@echo "make format  rewrite the code in the project's style"
	@echo "make clean   remove caches and build leftovers; data, outputs and .venv stay"

train: $(INSTALLED)
	$(BIN)/dfd train

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal

fuzz: $(INSTALLED)
	DFD_EXAMPLES=300 $(BIN)/python -m pytest -n 0 tests/serving/test_openapi.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("dfd needs Python 3.11 or newer, such as: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	find src configs tests scripts -name __pycache__ -prune -exec rm -rf {} +
