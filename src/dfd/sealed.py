"""Cards: YAML files of ours whose last line is a checksum of the others, so that damage and edits show."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from dfd.errors import UserError
from dfd.files import write_text

CHECKSUM = "# sha256 of the lines above: "
MOST_VALUES = 100_000


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a card. Atomic."""
    write_text(path, sealed(yaml.safe_dump(content, sort_keys=False, allow_unicode=True)))


def sealed(text: str) -> str:
    """A text of whole lines with the checksum that belongs to it."""
    return f"{text}{CHECKSUM}{hashlib.sha256(text.encode()).hexdigest()}\n"


def read(path: Path) -> dict[str, Any]:
    """The content of a card. Raises UserError if it is missing, damaged, edited or not of settings."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not text") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    head, mark, _ = text.rpartition(CHECKSUM)
    if not mark:
        raise UserError(f"{path} is damaged, or of an older format: it does not end with its checksum")
    if text != sealed(head):
        raise UserError(f"{path} is damaged, or was edited: it does not fit the checksum in its last line")
    try:
        return settings_of(head)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def settings_of(text: str) -> dict[str, Any]:
    """The settings that a stranger's YAML holds. Raises ValueError if it holds none, tags, or values without end."""
    try:
        content = _Plain(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(content, dict):
        raise ValueError("it holds no settings")
    if _is_endless(content):
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    return content


class _Plain(yaml.SafeLoader):
    """Without merge keys: a few hundred bytes of them, each twice in the next, take all memory while they are read."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "it merges mappings (<<)", key.start_mark)


def _is_endless(content: Any) -> bool:
    """Whether there are too many values. YAML can name one list many times, or in itself: no more text, and no end."""
    waiting, met = [content], 0
    while waiting and met <= MOST_VALUES:
        one = waiting.pop()
        met += 1
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return met > MOST_VALUES
