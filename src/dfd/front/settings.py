"""What settings a command has, read from its dataclass and from the files in configs/. Imports no Hydra."""

import difflib
import re
import types
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from dfd.front.commands import Command

TYPE_NAMES = {int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One field of a command's dataclass tree."""

    key: str  # dotted: "trainer.epochs"
    type: Any
    field: Field[Any]

    @property
    def help(self) -> str:
        """What the setting does."""
        return str(self.field.metadata.get("help", ""))

    @property
    def default(self) -> Any:
        """The dataclass's own default, which the files in configs/ may change."""
        default, factory = self.field.default, self.field.default_factory
        return default if factory is MISSING else factory()

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from; none: any value of the type."""
        if self.type is bool:
            return ("true", "false")
        return self.field.metadata.get("choices") or ()

    @property
    def accepted(self) -> str:
        """The accepted values in words, such as 'a whole number, 1 or more'."""
        kind, optional = strip_optional(self.type)
        is_list = get_origin(kind) is list
        name = TYPE_NAMES.get(get_args(kind)[0] if is_list else kind, "value")
        text = f"a list of {name}s" if is_list else f"a {name}"
        if self.choices:
            text = " or ".join(self.choices) if len(self.choices) == 2 else "one of " + ", ".join(self.choices)
        bounds = _bounds(self.field.metadata.get("low"), self.field.metadata.get("high"))
        if bounds:
            text += f", each {bounds}" if is_list else f", {bounds}"
        return f"{text}; or null" if optional else text


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high}" if high is not None else ""
    return f"{low} to {high}" if high is not None else f"{low} or more"


def strip_optional(kind: Any) -> tuple[Any, bool]:
    """`X | None` becomes (X, True), every other type (type, False)."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [one for one in get_args(kind) if one is not type(None)]
        return inner[0], True
    return kind, False


@cache
def settings(config: type, prefix: str = "") -> dict[str, Setting]:
    """All settings of a dataclass tree by their dotted keys: its own first, then section by section."""
    hints, nested = get_type_hints(config), sections(config)
    own = {item.name: Setting(f"{prefix}{item.name}", hints[item.name], item) for item in fields(config)}
    found = {one.key: one for name, one in own.items() if name not in nested}
    for name, kind in nested.items():
        found.update(settings(kind, f"{prefix}{name}."))
    return found


@cache
def sections(config: type) -> dict[str, type]:
    """The nested dataclasses of a config by their names: 'trainer', 'model' …"""
    kinds = {name: strip_optional(kind)[0] for name, kind in get_type_hints(config).items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and is_dataclass(kind)}


def can_do_without(command: Command, section: str) -> bool:
    """Whether the command has a section of settings that may be null, as where a detector brings its own data."""
    kind = get_type_hints(command.config).get(section)
    return kind is not None and strip_optional(kind)[1]


def section_of(config: type, name: str) -> type:
    """The dataclass of a section by its dotted name: 'trainer', 'robustness.changes' …"""
    for part in name.split("."):
        config = sections(config)[part]
    return config


def groups(command: Command, config_dir: Path | None = None) -> dict[str, tuple[str, ...]]:
    """The config groups of a command, such as 'model', with their choices: the files in configs/<group>/.

    `config_dir` is a folder with more of them (`--config-dir`).
    """
    packaged = _packaged_groups(command)
    if config_dir is None:
        return packaged
    return {name: tuple(sorted({*own, *_yaml_names(config_dir / name)})) for name, own in packaged.items()}


@cache
def _packaged_groups(command: Command) -> dict[str, tuple[str, ...]]:
    root = files("dfd.configs")
    text = (root / f"{command.id}.yaml").read_text(encoding="utf-8")
    names = re.findall(r"^ +- (\w+):", text, re.MULTILINE)  # the groups in the file's defaults list
    return {name: tuple(sorted(_yaml_names(root / name))) for name in names}


def _yaml_names(folder: Traversable) -> list[str]:
    if not folder.is_dir():
        return []
    return [item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A tree of settings by dotted keys."""
    flat = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def is_known_key(command: Command, key: str) -> bool:
    """Whether `key` is a setting, a section of settings or a config group of the command."""
    known = settings(command.config)
    return key in known or key in groups(command) or any(name.startswith(f"{key}.") for name in known)


def unknown_key(command: Command, key: str) -> str:
    """The message for a setting that does not exist: the one that was probably meant, and what there is."""
    if key.startswith(("hydra.", "hydra/")):
        return f"there is no setting {key!r}. Hydra's settings are listed by dfd {command.name} --hydra-help"
    found = nearest_key(command, key)
    message = f"there is no setting {key!r}." + (f" Did you mean {found}?" if found else "")
    section = key.rpartition(".")[0]
    if section in sections(command.config):
        names = [name for name in settings(command.config) if name.startswith(f"{section}.")]
        return f"{message}\nAccepted are: {', '.join(names)}"
    names = [name for name in settings(command.config) if "." not in name]
    names += [*groups(command), *(f"{name}.…" for name in sections(command.config))]
    return f"{message}\nAccepted are: {', '.join(names)}; see dfd {command.name} --help"


def unknown_choice(group: str, choice: str, choices: Iterable[str]) -> str:
    """The message for a choice that a config group doesn't have."""
    found = nearest(choice, choices)
    message = f"{group}={choice} is not one of the choices." + (f" Did you mean {group}={found}?" if found else "")
    return f"{message}\nChoices of {group}: {', '.join(choices)}"


def meant_setting(command: Command, word: str, config_dir: Path | None = None) -> str | None:
    """The setting that was probably meant by a bare word: 'model=resnet50' for 'resnet50'."""
    choices = {choice: f"{group}={choice}" for group, found in groups(command, config_dir).items() for choice in found}
    if found := nearest(word, choices):
        return choices[found]
    key = nearest_key(command, word)
    return f"{key}=…" if key else None


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice whose spelling is nearest to `word`, if any is near."""
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=0.7)), None)


def nearest_key(command: Command, key: str) -> str | None:
    """The known key that was probably meant: nearest in its spelling, or in the spelling of its last part."""
    keys = [*groups(command), *settings(command.config)]
    last_parts = {one.rpartition(".")[2]: one for one in reversed(keys)}
    last = key.rpartition(".")[2]
    return last_parts.get(last) or nearest(key, keys) or last_parts.get(nearest(last, last_parts) or "")
