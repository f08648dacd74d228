"""Settings and fixtures of the whole test suite."""

import os
import sys
from contextlib import suppress
from pathlib import Path

# Before anything imports torch: the test processes share the cores, and no test goes to the network.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg"}

import pytest
from hypothesis import settings

settings.register_profile("dfd", deadline=None)  # no test asserts a time
settings.load_profile("dfd")

SHARED = Path(os.environ.get("DFD_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_configure() -> None:
    """absl, which some libraries log with, would close pytest's stderr when Hydra sets up logging again."""
    with suppress(ImportError):
        from absl import logging

        logging.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the real images, the tests that need them say so."""
    if not (SHARED / "data").is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason=f"there are no real images in {SHARED}; set DFD_SHARED"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real images; for tests that are marked `shared`."""
    return SHARED


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in which `data/` and `outputs/` would be made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
