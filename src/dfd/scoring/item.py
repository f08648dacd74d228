"""One image to be scored: what it is called, where its content is, and what is known of it."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from dfd.data.names import to_text


@dataclass(frozen=True)
class Problem:
    """Why there is no content."""

    reason: str


Content = str | bytes | Problem  # a local file, its bytes, or neither
PLAIN = re.compile(
    r"(?!\./)(?:[^\\\x00-\x1f\x7f\udc80-\udcff/]|/(?!/|\./|$))+"
)  # names that `to_text` leaves as they are


class Known(NamedTuple):
    """The columns of a predictions table that come from a manifest."""

    label: int = -1
    split: str = ""
    source: str = ""
    group: str = ""
    sha256: str = ""


class Item(NamedTuple):
    """An image; `path` is what its row is called."""

    path: str
    content: Content
    known: Known = Known()

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.content) if isinstance(self.content, bytes) else 0


def name_of(place: str, inside: str = "") -> str:
    """A path or URL, and a name within it, as one line of printable text; see `dfd.data.names`."""
    text = f"{place}/{inside}" if inside else place
    if PLAIN.fullmatch(text):  # most names, and many times quicker
        return text
    scheme, mark, rest = place.rpartition("://")
    return scheme + mark + to_text(f"{rest}/{inside}" if inside else rest)
