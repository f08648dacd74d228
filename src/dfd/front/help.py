"""The help pages: `dfd --help`, and `dfd COMMAND --help` with every setting and its present value."""

import shutil
import textwrap
from typing import Any

from dfd import __version__
from dfd.front.commands import COMMANDS, Command
from dfd.front.settings import section_of, settings

OPTIONS = {
    "-m, --multirun": "run every combination of values separated by commas: model=resnet50,vgg16 seed=0,1",
    "--cfg job": "print the composed settings instead of running; --resolve fills in references",
    "--config-dir DIR": "a folder of your own with further choices: DIR/model/mine.yaml, DIR/data/mine.yaml",
    "--info, --hydra-help": "how Hydra composed the settings, and its own settings (hydra.run.dir, hydra.verbose …)",
    "-h, --help": "this page, with the values that the given settings lead to",
}
COMPLETION = 'Tab completion: eval "$(dfd --completion bash)", or zsh'


def overview() -> str:
    """The page of `dfd --help`."""
    width = 2 + max(len(command.name) for command in COMMANDS) + 2
    lines = [f"dfd {__version__}: train, test and use detectors of deepfake face images", "", "Commands:"]
    for command in COMMANDS:
        lines += _entry(command.name, command.summary, width)
    lines += ["", "Settings are written key=value: dfd train model=resnet50 trainer.epochs=5"]
    lines += ["Each command explains its own: dfd train --help", COMPLETION]
    return "\n".join(lines)


def page(command: Command, choices: dict[str, tuple[str, ...]], values: dict[str, Any]) -> str:
    """The page of `dfd COMMAND --help`.

    `choices` are those of the config groups; `values` are the present values by the settings' dotted keys.
    """
    paths = " [key=value …] [option …] [--] [PATH …]" if command.paths else " [key=value …] [option …]"
    lines = [*_wrap(command.summary, ""), "", f"Usage: dfd {command.name}{paths}"]
    lines += ["", "Examples:", *(f"  {example}" for example in command.examples)]
    lines += ["", "Groups of settings, each filled in by a choice of files:"]
    for group, names in choices.items():
        lines += _entry(f"{group}={_written(values.get(group))}", ", ".join(names))
    lines += ["", "Settings, with their present values:"]
    section = ""
    for key, setting in settings(command.config).items():
        if key.rpartition(".")[0] != section:
            section = key.rpartition(".")[0]
            summary = (section_of(command.config, section).__doc__ or "").strip()
            lines += ["", *_wrap(f"{section}: {summary}", "  ")]
        lines += _entry(f"{key}={_written(values.get(key))}", f"{setting.help} [{setting.accepted}]")
    lines += ["", "Options:"]
    for option, text in OPTIONS.items():
        lines += _entry(option, text)
    return "\n".join([*lines, "", COMPLETION])


def _written(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_written(one) for one in value)}]"
    return str(value)


def _entry(name: str, text: str, column: int = 34) -> list[str]:
    """A name at the left and its text in a column at the right, below the name if that is long."""
    lines = _wrap(text, " " * column)
    if len(name) + 4 > column:
        return [f"  {name}", *lines]
    return [f"  {name}".ljust(column) + lines[0].lstrip(), *lines[1:]]


def _wrap(text: str, indent: str) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 120)
    return textwrap.wrap(
        text,
        max(width, len(indent) + 30),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [indent]
