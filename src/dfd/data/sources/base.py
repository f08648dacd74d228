"""What a reader of a raw layout gives, and the helpers that readers share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from dfd.config import DataConfig

FAKE, REAL = 1, 0
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Raw:
    """Raw image files and what their place says of them.

    `table` has a row a file: `path` (relative to `root`, as the file system has it), `label`, `source`, optionally
    `split` (as published), `group` (any names of what belongs together), and columns of the data set's own.
    `notes` are sentences that the user should read.
    """

    table: pd.DataFrame
    root: Path
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """A reader of one raw layout."""

    archives: tuple[str, ...]  # other names under which the download may lie in <root>/raw
    where: str  # where to get the data, in words

    def find(self, raw: Path, data: DataConfig) -> Raw:
        """List the files below `raw`. Raises UserError if they are not laid out as expected."""
        ...


def object_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A table whose strings stay Python's own: paths may hold bytes that Arrow strings refuse."""
    return pd.DataFrame(rows, dtype=object)


def first_folder(top: Path, fits: Callable[[Path], bool], depth: int = 3) -> Path | None:
    """The first folder that fits, nearest to `top` first and then by name; `top` itself counts."""
    level = [top]
    for _ in range(depth + 1):
        for folder in level:
            if fits(folder):
                return folder
        level = [below for folder in level for below in subfolders(folder)]
    return None


def subfolders(folder: Path) -> Iterator[Path]:
    """Visible folders in a folder, by name."""
    yield from (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))
