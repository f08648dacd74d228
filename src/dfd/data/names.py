r"""A file's name as text that any table can hold, and back.

A POSIX file name is bytes: it may hold line breaks and bytes that are not UTF-8, which Parquet refuses and
which spoil a CSV or a terminal. In tables a path is therefore written with `/` between its parts, `\` as `\\`,
and each control character or undecodable byte as `\xNN`. Ordinary names are unchanged.
"""

import re
from pathlib import Path

PLAIN_LENGTH = 80  # characters; file systems take 255 bytes, and more may be added to the name
UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")
ODD = re.compile(r"[\\\x00-\x1f\x7f\udc80-\udcff]")
ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


def to_text(path: Path | str) -> str:
    """The path as one line of printable UTF-8; `to_path` gives the path back."""
    return ODD.sub(_escape, Path(path).as_posix())


def to_path(text: str) -> Path:
    """The path that `to_text` wrote."""
    return Path(ESCAPED.sub(_restore, text))


def plain_name(number: int, path: Path) -> str:
    """A name for files about one of several pictures that any file system takes, such as '0003-holiday_photo'."""
    return f"{number:04}-{UNUSUAL.sub('_', path.stem)[:PLAIN_LENGTH]}"


def _escape(match: re.Match[str]) -> str:
    return "\\\\" if match[0] == "\\" else f"\\x{ord(match[0]) & 0xFF:02x}"


def _restore(match: re.Match[str]) -> str:
    if match[1] is None:
        return "\\"
    value = int(match[1], 16)
    return chr(value if value < 0x80 else 0xDC00 + value)  # a byte beyond ASCII becomes its surrogate escape
