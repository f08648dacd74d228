"""Published experiments: several command lines under one name, at a size that one word sets.

A file of the group `experiment` that has `steps` is one. {train} stands for the options of the chosen budget, {runs}
for the runs of the first step as a list, {all_runs} for all runs so far as bare words. Settings that the user adds go
to every step that knows them, in place of the step's own.
"""

import shlex
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError, worst
from dfd.front.arguments import Request, parse, quoted
from dfd.front.commands import find_command
from dfd.front.settings import is_known_key

OWN = ("experiment", "budget")
Perform = Callable[[Request, list[Path]], int]


def pipeline_of(request: Request) -> dict[str, Any] | None:
    """The content of the experiment that a request names, if it consists of steps."""
    name = _value(request, "experiment")
    if name is None:
        return None
    for root in _roots(request):
        file = root / "experiment" / f"{name}.yaml"
        if file.is_file():
            import yaml  # late, as Hydra: help pages need neither

            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) and "steps" in content else None
    return None


def run_pipeline(content: dict[str, Any], request: Request, runs: list[Path], perform: Perform) -> int:
    """Run the steps one after the other, until one fails. Returns the worst exit code; fills `runs`."""
    if request.multirun:
        raise UserError("experiment: this one is made of several commands already; leave out -m")
    budget = _value(request, "budget") or "cpu"
    if budget not in content["budgets"]:
        raise UserError(f"budget={budget} is not one of the choices: {', '.join(content['budgets'])}")
    codes = [EXIT_OK]
    first: list[Path] = []
    for number, step in enumerate(content["steps"]):
        words = _words(step, content["budgets"][budget], first, runs)
        command = find_command(words)
        if command is None:
            raise UserError(f"experiment: {words[0]!r} is no command of dfd")
        own = words[len(command.name.split()) :]
        added = [word for word in request.overrides if _goes_to(command, word)]
        added += ["--config-dir", str(request.config_dir)] if request.config_dir else []
        keys = {word.partition("=")[0] for word in added}
        line = [*(word for word in own if word.partition("=")[0] not in keys), *added]
        print(f"\n$ dfd {command.name} {shlex.join(line)}\n", flush=True)
        if request.show or request.help:
            continue
        codes.append(perform(parse(command, line), runs))
        if codes[-1] not in (EXIT_OK, EXIT_PARTIAL):
            break
        if number == 0:
            first = list(runs)
    return worst(codes)


def _words(step: str, budget: str, first: list[Path], runs: list[Path]) -> list[str]:
    listed = "[" + ",".join(quoted(str(run)) for run in first) + "]"
    found = []
    for word in step.replace("{train}", budget).split():
        if not first:  # nothing has run yet: the words are only shown, or of the first step
            found.append(word)
        elif word == "{all_runs}":
            found += [str(run) for run in runs]
        else:
            found.append(word.replace("{runs}", listed))
    return found


def _goes_to(command: Any, word: str) -> bool:
    key = word.partition("=")[0]
    return key not in (*OWN, "hydra.searchpath") and (key.startswith("hydra.") or is_known_key(command, key))


def _value(request: Request, key: str) -> str | None:
    values = [word.partition("=")[2] for word in request.overrides if word.startswith(f"{key}=")]
    return values[-1] if values else None


def _roots(request: Request) -> list[Any]:
    packaged = files("dfd.configs")
    return [request.config_dir, packaged] if request.config_dir else [packaged]
