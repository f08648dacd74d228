"""Published experiments: several command lines under one name, at a size that one word sets.

A file of the group `experiment` that has `steps` is one. A budget is the options that {train} stands for, or several
such words with what each stands for. {runs} stands for the runs of the first step as a list, {run2} for those of the
second, separated by commas, {all_runs} for all runs so far as bare words. Settings that the user adds go to every step
that knows them, in place of the step's own; but for those of the sections in `fixed`, which are the experiment's, and
data and changes (`augment`) for steps that can do without and name none: what they are given has its own.

With resume=true a step that has come to its end under the same settings is not done again, one that was cut off goes
on if it can, and the others are begun.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from dfd.config.typed import written
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError, worst
from dfd.front.arguments import Request, parse
from dfd.front.commands import find_command
from dfd.front.ranks import refuse_several, world
from dfd.front.settings import can_do_without, is_known_key

OWN = ("experiment", "budget")
OF_RUNS = ("data", "augment")  # where a command can do without, it goes by what its runs were trained on
TRUE = ("true", "yes", "y", "on", "1")  # as OmegaConf reads them
RUNS = re.compile(r"(gan:|)\{run(s|\d+)\}")
Perform = Callable[[Request, list[Path]], int]


def pipeline_of(request: Request) -> dict[str, Any] | None:
    """The content of the experiment that a request names, if it consists of steps."""
    name = _value(request, "experiment")
    if name is None:
        return None
    for root in _roots(request):
        file = root / "experiment" / f"{name}.yaml"
        if file.is_file():
            content = _read(file)
            return _checked(content, file) if isinstance(content, dict) and "steps" in content else None
    return None


def _read(file: Any) -> Any:
    import yaml  # late, as Hydra: help pages need neither

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a 13th month
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        told = " ".join(str(problem or error).split())
        raise UserError(f"{file}{f', line {mark.line + 1}' if mark else ''}: this is no YAML: {told}") from None


def _checked(content: dict[str, Any], file: Any) -> dict[str, Any]:
    """The content of a file that has steps; UserError if another part of it is missing, or not what it has to be."""
    steps, budgets, fixed = (content.get(key) for key in ("steps", "budgets", "fixed"))
    takes = {
        "steps": (_are_words(steps), "a list of command lines, such as [train model=vgg16 {train}]"),
        "budgets": (_are_budgets(budgets), "options by the budget's name, such as {cpu: trainer.epochs=3}"),
        "fixed": (not fixed or _are_words(fixed), "a list of sections, such as [data]"),
    }
    for key, (fits, accepted) in takes.items():
        if not fits:
            raise UserError(f"{file}: {key}: {content.get(key)!r} is not accepted; {key} takes {accepted}")
    return content


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each.split() for each in value)


def _are_budgets(value: Any) -> bool:
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        return False
    texts = [text for budget in value.values() for text in (budget.values() if isinstance(budget, dict) else [budget])]
    return all(isinstance(text, str) for text in texts)


def run_pipeline(content: dict[str, Any], request: Request, runs: list[Path], perform: Perform) -> int:
    """Run the steps one after the other, until one fails. Returns the worst exit code; fills `runs`."""
    if request.multirun:
        raise UserError("experiment: this one is made of several commands already; leave out -m")
    if len(content["steps"]) > 1:  # a step names the run folders of others, which only rank 0 knows
        name = f"experiment={_value(request, 'experiment')}"
        refuse_several(
            f"{name} has {len(content['steps'])} steps, which", "run its steps, which --cfg job shows, one by one"
        )
    budget = _value(request, "budget") or "cpu"
    if budget not in content["budgets"]:
        raise UserError(f"budget={budget} is not one of the choices: {', '.join(content['budgets'])}")
    _check_fixed(content.get("fixed") or [], request)
    goes_on = (_value(request, "resume") or "").lower() in TRUE and world() == 1  # only rank 0 knows what is done
    codes = [EXIT_OK]
    by_step: list[list[Path]] = []
    for step in content["steps"]:
        words = _words(step, content["budgets"][budget], by_step)
        command = find_command(words)
        if command is None:
            raise UserError(f"experiment: {words[0]!r} is no command of dfd")
        own = words[len(command.name.split()) :]
        added = [word for word in request.overrides if _goes_to(command, word, own)]
        added += ["--config-dir", str(request.config_dir)] if request.config_dir else []
        keys = {word.partition("=")[0] for word in added}
        line = [*(word for word in own if word.partition("=")[0] not in keys), *added]
        print(f"\n$ dfd {command.name} {shlex.join(line)}\n", flush=True)
        if request.show or request.help:
            continue
        before = len(runs)
        codes.append(perform(replace(parse(command, line), goes_on=goes_on), runs))
        if codes[-1] not in (EXIT_OK, EXIT_PARTIAL):
            break
        by_step.append(runs[before:])
    return worst(codes)


def _check_fixed(sections: list[str], request: Request) -> None:
    for word in request.overrides:
        section = _section(word)
        if section in sections:
            raise UserError(
                f"{word}: each step of this experiment has {section} of its own; leave it out, and prepare the data "
                "sets under their names first, as in dfd data prepare data=real140k data.source=PATH"
            )


def _words(step: str, budget: str | dict[str, str], by_step: list[list[Path]]) -> list[str]:
    for name, options in ({"train": budget} if isinstance(budget, str) else budget).items():
        step = step.replace(f"{{{name}}}", options)
    if not by_step:  # nothing has run yet: the words are only shown, or of the first step
        return step.split()
    found = []
    for word in step.split():
        if word == "{all_runs}":
            found += [str(run) for runs in by_step for run in runs]
            continue
        found.append(RUNS.sub(lambda name: _listed(name, by_step), word))
    return found


def _listed(name: re.Match[str], by_step: list[list[Path]]) -> str:
    """What a name of runs stands for. A mark before it is quoted with each run: Hydra takes no half."""
    mark, of = name.groups()
    number = 1 if of == "s" else int(of)
    if not 1 <= number <= len(by_step):
        return name[0]
    runs = ",".join(written(f"{mark}{run}") for run in by_step[number - 1])
    return f"[{runs}]" if of == "s" else runs


def _goes_to(command: Any, word: str, own: list[str]) -> bool:
    key = word.partition("=")[0]
    section = _section(word)
    if section in OF_RUNS and can_do_without(command, section) and section not in map(_section, own):
        return False
    return key not in (*OWN, "hydra.searchpath") and (key.startswith("hydra.") or is_known_key(command, key))


def _section(word: str) -> str:
    return word.partition("=")[0].partition(".")[0]


def _value(request: Request, key: str) -> str | None:
    values = [word.partition("=")[2] for word in request.overrides if word.startswith(f"{key}=")]
    return values[-1] if values else None


def _roots(request: Request) -> list[Any]:
    packaged = files("dfd.configs")
    return [request.config_dir, packaged] if request.config_dir else [packaged]
