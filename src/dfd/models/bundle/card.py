"""bundle.yaml: what a bundle says of itself, and the checks on it. A stranger may have written it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from dfd import sealed
from dfd.config import ModelConfig, check
from dfd.errors import UserError

FORMAT = 2
FILE, WEIGHTS, CONFIG, SEEN, MEMBERS = "bundle.yaml", "model.safetensors", "config.yaml", "seen.txt", "members"
ABOUT = ("name", "data", "training", "metrics", "versions")
NEEDED = [("data", key) for key in ("name", "fingerprint", "train")] + [  # by the commands that tell of a bundle
    ("training", key) for key in ("weights", "seconds", "device")
]


def read_card(folder: Path) -> dict[str, Any]:
    """The content of bundle.yaml, its checksum and format checked; see `load` for the rest."""
    path = folder / FILE
    content = sealed.read(path)
    if content.get("format") != FORMAT:
        raise UserError(f"{path}: format {content.get('format')!r} is not known; accepted is {FORMAT}")
    return content


def name_of(folder: Path) -> str:
    """`Bundle.sha256` of the bundle in a folder."""
    return name_in(read_card(folder))


def name_in(content: dict[str, Any]) -> str:
    """One hash: the weights' for a network, that of all its files and members for an ensemble."""
    if content["kind"] == "detector":
        return str(content["files"][WEIGHTS])
    return hashlib.sha256(repr((content["files"], content["members"])).encode()).hexdigest()


@contextmanager
def card_of(folder: Path) -> Iterator[None]:
    """Within this, whatever is wrong is wrong in bundle.yaml."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, UserError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error!s}") from None


def check_kinds(content: dict[str, Any]) -> None:
    """Raise ValueError for a value of the wrong kind. A stranger's card may hold anything, its checksum too."""
    name = content["name"]
    if not isinstance(name, str) or not name.isprintable() or name in ("", ".", "..") or set("/\\") & set(name):
        raise ValueError(f"name={name!r} is no plain name")
    for key in ("data", "training", "metrics", "versions", "files"):
        if not isinstance(content[key], dict):
            raise ValueError(f"{key} is no mapping")
    needed = [("data", "folds" if "folds" in content["data"] else "val"), *NEEDED]
    if lacking := [f"{entry}.{key}" for entry, key in needed if key not in content[entry]]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    if int(content["max_pixels"]) < 1:
        raise ValueError(f"max_pixels={content['max_pixels']}; accepted is 1 or more")
    for name, digest in content["files"].items():
        if not isinstance(digest, str) or Path(name).name != name:
            raise ValueError(f"files holds {name!r}: accepted are names of files beside it, with their sha256")


def model_config(values: dict[str, Any]) -> ModelConfig:
    """The settings of a network. Raises UserError for one that is unknown or out of its range."""
    unknown = values.keys() - {item.name for item in fields(ModelConfig)}
    if unknown:
        raise UserError(f"unknown entry model.{min(unknown)}")
    config = ModelConfig(**values)
    check(config, "model.")
    return config
