"""The manifest: which image is what, and in which split. One Parquet table and one JSON header."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dfd.data.names import to_path
from dfd.errors import UserError
from dfd.files import replacing, write_text

SPLITS = ("train", "val", "test")
LABELS = ("real", "fake")
COLUMNS = (
    *("path", "label", "split", "source", "group", "sha256", "phash"),
    *("width", "height", "format", "bytes"),
)
TEXTS = ("path", "split", "sha256")
TABLE, HEADER = "manifest.parquet", "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """One row an image, sorted by path, and what they are together.

    `table` has COLUMNS and the data set's own. `path` is relative to `root`, in the form of `data.names`; `label`
    is 1 for fake and 0 for real; rows of one `group` are never in two splits. `folder` is where it is kept.
    """

    table: pd.DataFrame
    header: dict[str, Any]
    folder: Path | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Name of the data set."""
        return str(self.header["name"])

    @property
    def root(self) -> Path:
        """Folder that the paths start from."""
        return Path(self.header["root"])

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the images, their labels and their splits."""
        return str(self.header["fingerprint"])

    def rows(self, split: str) -> pd.DataFrame:
        """Rows of 'train', 'val' or 'test', numbered from 0. Raises UserError if there are none."""
        rows = self.table[self.table["split"] == split]
        if split not in SPLITS or rows.empty:
            there = ", ".join(name for name in SPLITS if (self.table["split"] == name).any())
            raise UserError(f"data set {self.name!r} has no images in split {split!r}; it has: {there}")
        return rows.reset_index(drop=True)

    def file(self, path: str) -> Path:
        """Where the image of a row lies: takes its `path`."""
        return self.root / to_path(path)

    def save(self, folder: Path) -> None:
        """Write both files. A reader never takes a half-written pair for a whole one: see `load`."""
        with replacing(folder / TABLE) as temporary:
            self.table.to_parquet(temporary, index=False)
        write_text(folder / HEADER, json.dumps(self.header, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read a saved manifest. Raises UserError if it is missing, damaged or put together from two."""
        again = "prepare it again with force=true"
        for name in (HEADER, TABLE):
            if not (folder / name).exists():
                raise UserError(f"no manifest in {folder}: {name} is missing; run dfd data prepare")
        try:
            header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
            table = pd.read_parquet(folder / TABLE)
            named = header["fingerprint"]
        except Exception as error:  # a damaged Parquet file may raise anything
            raise UserError(f"the manifest in {folder} is damaged ({error}); {again}") from None
        if missing := [name for name in COLUMNS if name not in table]:
            raise UserError(f"{folder / TABLE} lacks the columns {', '.join(missing)}; {again}")
        if wrong := _wrong(header, table):
            raise UserError(f"the manifest in {folder} is damaged ({wrong}); {again}")
        if fingerprint(table) != named:
            raise UserError(f"{TABLE} and {HEADER} in {folder} do not belong together; {again}")
        return cls(table, header, folder)


def _wrong(header: dict[str, Any], table: pd.DataFrame) -> str:
    """What is of the wrong kind, so that nothing of it becomes a path or a class; empty if all is well."""
    name = header.get("name")
    if not isinstance(name, str) or name in ("", ".", "..") or set("/\\") & set(name):
        return f"name={name!r} is no plain name"
    if not isinstance(header.get("root"), str):
        return "root is no path"
    for column in TEXTS:
        if not all(isinstance(value, str) for value in table[column]):
            return f"{column} is not text in all rows"
    return "" if table["label"].isin([0, 1]).all() else "label is not 0 or 1 in all rows"


def changed_since(file: Path | str, reason: str) -> UserError:
    """What is said of an image that could be read when the data were prepared, and can't be now."""
    return UserError(f"{file}: {reason}; the files have changed since `dfd data prepare`: run it again with force=true")


def fingerprint(table: pd.DataFrame) -> str:
    """Name of the data that a result was obtained on: a hash of each image's content, label and split."""
    lines = sorted(f"{row.sha256} {row.label} {row.split}" for row in table[["sha256", "label", "split"]].itertuples())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def counts(table: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """Number of real and fake images for each value of a column."""
    return {
        str(value): {word: int((rows["label"] == label).sum()) for label, word in enumerate(LABELS)}
        for value, rows in table.groupby(column)
    }
