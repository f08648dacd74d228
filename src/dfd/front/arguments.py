"""Sorts a command line into options, settings and paths. Imports no Hydra."""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, get_type_hints

from dfd.config.typed import is_plain, quoted, written
from dfd.errors import UserError
from dfd.front.commands import Command
from dfd.front.settings import (
    groups,
    is_known_key,
    meant_setting,
    nearest,
    nearest_key,
    sections,
    strip_optional,
    unknown_choice,
    unknown_key,
)

# A value in a list as Hydra takes it, and the comma after it.
_PART = re.compile(
    r"""\s*(?:(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<bare>[^,'"\[\]]*?))\s*(?:(?P<comma>,)|\Z)"""
)


@dataclass
class Request:
    """What a command line asks for."""

    command: Command
    overrides: list[str]  # settings, as Hydra takes them
    paths: list[str]
    help: bool
    multirun: bool
    show: list[str]  # options of Hydra that show something instead of running: ["--cfg", "job"]
    config_dir: Path | None = None
    goes_on: bool = False  # a step of an experiment with resume=true: what has come to its end is not done again


INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _parser(command: Command) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"dfd {command.name}", add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("-p", "--package")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-i", "--info", nargs="?", const="all", choices=INFO)
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("-cd", "--config-dir", type=Path)
    for flag, override in command.flags.items():
        parser.add_argument(flag, action="append_const", const=override, dest="flags")
    parser.set_defaults(flags=[])
    return parser


def parse(command: Command, arguments: list[str]) -> Request:
    """Read the arguments that follow the command's name; UserError for what cannot be read."""
    dashes = arguments.index("--") if "--" in arguments else len(arguments)
    options, words = _parser(command).parse_known_args(arguments[:dashes])
    for word in words:
        if word.startswith("-"):
            raise UserError(_unknown_option(command, word))
    after = arguments[dashes + 1 :]
    if after and not command.paths:
        raise UserError(f"{after[0]!r} is not a setting")
    overrides = [word for word in words if _is_override(command, word, options.config_dir)]
    bare = set(words) - set(overrides)
    overrides = [part for word in overrides for part in _spelled_out(word)]
    request = Request(
        command=command,
        overrides=[*options.flags, *overrides, *_search_path(options.config_dir)],
        paths=[*(word for word in words if word in bare), *after],
        help=options.help,
        multirun=options.multirun or "hydra.mode=MULTIRUN" in overrides,
        show=_show(options),
        config_dir=options.config_dir,
    )
    if request.show and request.multirun:
        raise UserError(f"--multirun and {request.show[0]} don't go together")
    _check_overrides(request)
    return request


def option_names(command: Command) -> list[str]:
    """All options of a command, as they are typed."""
    return [name for action in _parser(command)._actions for name in action.option_strings]


def _unknown_option(command: Command, word: str) -> str:
    message = f"there is no option {word}."
    if command.paths and os.path.lexists(word):
        return f"{message} If you mean the file, put it last, after --"
    known = option_names(command)
    if found := nearest(word, known):
        return f"{message} Did you mean {found}?"
    key, equals, value = word.lstrip("-").partition("=")
    if found := nearest_key(command, key):
        return f"{message} Settings are written without dashes: {found}={value if equals else '…'}"
    return f"{message} Options are: {', '.join(known)}"


def _is_override(command: Command, word: str, config_dir: Path | None) -> bool:
    """Tell a setting from a path; UserError for a word that is neither."""
    key, equals, _ = word.partition("=")
    if equals and (key.startswith(("+", "~", "hydra.", "hydra/")) or is_known_key(command, key.partition("@")[0])):
        return True
    if command.paths and (not equals or os.path.lexists(word)):
        return False
    if not equals and word.startswith("~"):
        return True
    if equals:
        neither = f"{word!r} is neither a setting nor a file: " if command.paths else ""
        raise UserError(neither + unknown_key(command, key))
    found = meant_setting(command, word, config_dir)
    raise UserError(
        f"{word!r} is not a setting, which is written key=value." + (f" Did you mean {found}?" if found else "")
    )


def _spelled_out(word: str) -> list[str]:
    """`data=[NAME,NAME,gan:RUN]`, a data set with others and generated fakes added, as the two settings it means."""
    key, _, value = word.partition("=")
    if key != "data" or not (value.startswith("[") and value.endswith("]")):
        return [word]
    parts = _parts(value[1:-1])
    first, *added = parts or [""]
    first = first.strip("'\"")
    if not first or first.startswith("gan:"):
        raise UserError(
            f"{word}: accepted is a data set, and after it more of them and of GANs, as in "
            "data=[real140k,yonsei,gan:RUN]; to run a command on each of several data sets, data=NAME,NAME with -m"
        )
    return [f"data={first}", *([f"data.add=[{','.join(added)}]"] if added else [])]


def _parts(text: str) -> list[str]:
    """The values of a list as Hydra takes them, its quoted ones as they are; none if it is not such a list."""
    parts, at = [], 0
    while found := _PART.match(text, at):
        bare, end = found["bare"], found.end()
        if bare == "":
            return []
        parts.append(found["quoted"] or (bare if is_plain(bare) else quoted(bare)))
        if end == len(text) and not found["comma"]:
            return parts
        at = end
    return []


def _search_path(config_dir: Path | None) -> list[str]:
    """A folder with more choices of settings, as a setting of Hydra's: its Compose API has no option for it."""
    if config_dir is None:
        return []
    if not config_dir.is_dir():
        raise UserError(f"--config-dir: there is no folder {config_dir}")
    return [f"hydra.searchpath=[{written(f'file://{config_dir.absolute()}')}]"]


def typed_again(request: Request, settings: list[str]) -> list[str]:
    """The words after `dfd` that ask for one job of a request again. `settings`: those of a job of a multirun.

    Without resume=true: there is nothing left to go on with, and the result is that of a run in one go.
    """
    folder = ["--config-dir", str(request.config_dir)] if request.config_dir else []
    given = settings if request.multirun else request.overrides
    left_out = _search_path(request.config_dir)
    given = [word for word in given if word not in left_out and not word.startswith("resume=")]
    dashes = ["--"] if any(path.startswith("-") or "=" in path for path in request.paths) else []
    return [*request.command.name.split(), *folder, *given, *dashes, *request.paths]


def _show(options: argparse.Namespace) -> list[str]:
    if (options.resolve or options.package) and not options.cfg:
        raise UserError("--resolve and --package go with --cfg")
    named = {"--cfg": options.cfg, "--package": options.package, "--info": options.info}
    switches = {"--resolve": options.resolve, "--hydra-help": options.hydra_help}
    values = [part for name, value in named.items() if value for part in (name, value)]
    return [*values, *(name for name, on in switches.items() if on)]


def _check_overrides(request: Request) -> None:
    """Catch what Hydra would answer with an internal error, or accept with a strange meaning."""
    command = request.command
    choices = groups(command, request.config_dir)
    chosen = {override.partition("=")[0].lstrip("+") for override in request.overrides}
    for override in request.overrides:
        key, _, value = override.partition("=")
        if key in choices:
            _check_choice(key, value, choices[key])
        section = key.partition(".")[0]
        if "." in key and section in choices and section not in chosen and _is_optional(command, section):
            raise UserError(f"{override} needs a choice of {section} beside it: {section}={'|'.join(choices[section])}")
    if request.paths and command.paths in chosen:
        raise UserError(f"give the files either as bare words or as {command.paths}=[…], not both")


def _check_choice(group: str, value: str, choices: tuple[str, ...]) -> None:
    """A group takes one name, or with -m several or a function of Hydra's such as glob(*)."""
    if value.startswith("[") and value.endswith("]"):
        raise UserError(
            f"{group}={value}: {group} takes one choice; several run with -m and commas: {group}={value[1:-1]}"
        )
    for one in value.split(","):
        if one not in choices and not set(one) & set("(/)'\""):
            raise UserError(unknown_choice(group, one, choices))


def _is_optional(command: Command, section: str) -> bool:
    return section in sections(command.config) and strip_optional(get_type_hints(command.config)[section])[1]
