"""Images of one's own: folders `real` and `fake`, or a CSV file.

    real/…                     source <name>-real
    fake/stylegan/…            source stylegan: the folder below real or fake, where there is one
    train/real/…, val/…        splits above, kept if keep_splits (valid and validation are names of val)

or, with own=real, any images without such folders: all of them are real.

The names' case does not matter. A CSV has columns for the path (relative to the CSV), the label and, optionally,
the source (`csv_path`, `csv_label`, `csv_fake`, `csv_source`), and `split`, kept if keep_splits.
"""

import os
from pathlib import Path

import pandas as pd

from dfd.config import DataConfig
from dfd.data.discover import images_below
from dfd.data.names import to_text
from dfd.data.sources.base import FAKE, REAL, SPLIT_NAMES, Raw, first_folder, object_table, subfolders
from dfd.errors import UserError

LABELS = {"real": REAL, "fake": FAKE}


class Folder:
    """Reader of `real/` and `fake/` folders and of CSV files."""

    archives: tuple[str, ...] = ()
    where = "your own images ready: a folder with real/ and fake/ in it, a .zip of one, or a .csv"

    def find(self, raw: Path, data: DataConfig) -> Raw:
        """Rows of the folder or of the CSV file `raw`."""
        if raw.is_file():
            return _from_csv(raw, data)
        top = first_folder(raw, lambda folder: bool(_kinds(folder) or _splits(folder)))
        if top is None and data.own == "real":
            return _of_reals(raw, data.name)
        if top is None:
            raise UserError(
                f"{raw} holds neither real/ and fake/ folders, nor train/, val/ and test/ with those in them; "
                "with data.own=real all images in it are taken as real"
            )
        if _kinds(top):
            return Raw(object_table(_rows(top, top, data.name)), top)
        rows = [
            row | ({"split": split} if data.keep_splits else {})
            for folder, split in _splits(top).items()
            for row in _rows(folder, top, data.name)
        ]
        return Raw(object_table(rows), top)


def _of_reals(raw: Path, name: str) -> Raw:
    """All images below a folder, as real ones: what a GAN learns from."""
    rows = [{"path": path.relative_to(raw), "label": REAL, "source": f"{name}-real"} for path in images_below(raw)]
    return Raw(object_table(rows), raw)


def _kinds(folder: Path) -> dict[Path, int]:
    """The folders named real and fake, with their labels; empty unless both are there."""
    kinds = {path: LABELS[path.name.lower()] for path in subfolders(folder) if path.name.lower() in LABELS}
    return kinds if set(kinds.values()) == {REAL, FAKE} else {}


def _splits(folder: Path) -> dict[Path, str]:
    """The folders named after splits that hold real and fake, with the split; empty unless there is a train folder."""
    splits = {path: SPLIT_NAMES[path.name.lower()] for path in subfolders(folder) if path.name.lower() in SPLIT_NAMES}
    splits = {path: split for path, split in splits.items() if _kinds(path)}
    return splits if "train" in splits.values() else {}


def _rows(folder: Path, top: Path, name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for kind, label in _kinds(folder).items():
        for path in images_below(kind):
            inner = path.relative_to(kind).parts
            source = to_text(inner[0]) if len(inner) > 1 else f"{name}-{'fake' if label else 'real'}"
            rows.append({"path": path.relative_to(top), "label": label, "source": source})
    return rows


def _from_csv(path: Path, data: DataConfig) -> Raw:
    table = _read_csv(path, data)
    values = sorted(table[data.csv_label].unique())
    if len(values) != 2 or data.csv_fake not in values:
        raise UserError(
            f"column {data.csv_label!r} of {path} holds {', '.join(map(repr, values[:10]))}; accepted are two values, "
            f"of which data.csv_fake={data.csv_fake!r} means fake"
        )
    rows: dict[str, dict[str, object]] = {}
    for row in table.to_dict("records"):
        label = FAKE if row[data.csv_label] == data.csv_fake else REAL
        source = row[data.csv_source] if data.csv_source else f"{data.name}-{'fake' if label else 'real'}"
        entry = {"path": _relative(path.parent, row[data.csv_path]), "label": label, "source": source}
        if data.keep_splits and "split" in row:
            entry["split"] = _split(row["split"], path)
        if rows.setdefault(str(entry["path"]), entry) != entry:
            raise UserError(f"{path} lists {row[data.csv_path]!r} twice, with different labels, sources or splits")
    return Raw(object_table(list(rows.values())), path.parent)


def _read_csv(path: Path, data: DataConfig) -> pd.DataFrame:
    if path.suffix.lower() != ".csv":
        raise UserError(f"data.source={path} is a file, but neither a .csv nor a .zip")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from None
    for setting in ("csv_path", "csv_label", "csv_source"):
        column = getattr(data, setting)
        if column is not None and column not in table:
            raise UserError(f"data.{setting}={column!r} is not a column of {path}; it has: {', '.join(table.columns)}")
    return table


def _relative(folder: Path, path: str) -> Path:
    return Path(os.path.relpath(folder / path, folder))


def _split(value: str, path: Path) -> str:
    if value.lower() not in SPLIT_NAMES:
        raise UserError(f"{path} has split={value!r}; accepted are {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[value.lower()]
