"""Text from a stranger's file, made short and safe to print."""

from typing import Any

LONGEST = 200  # characters of a value that is kept


def clean(value: Any, longest: int = LONGEST) -> str:
    """A value as one line of printable characters, cut to `longest`.

    Control characters, escape codes, direction marks and halves of surrogate pairs become spaces or go: nothing is left
    that a terminal or a page would obey.
    """
    if isinstance(value, bytes):
        value = value[: 4 * longest].decode("utf-8", "replace")
    text = str(value)[: 4 * longest]
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
