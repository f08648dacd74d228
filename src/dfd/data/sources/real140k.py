"""*140k Real and Fake Faces*: FFHQ photographs and StyleGAN faces of 256 pixels.

    real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}/*.jpg
    train.csv, valid.csv, test.csv        here label 1 means REAL, the opposite of ours

The label is the folder's. The CSV files, where they are there, must agree.
"""

from pathlib import Path

import pandas as pd

from dfd.config import DataConfig
from dfd.data.discover import images_below
from dfd.data.names import to_text
from dfd.data.sources.base import FAKE, REAL, Raw, first_folder, object_table
from dfd.errors import UserError

SPLITS = {"train": "train", "valid": "val", "test": "test"}
KINDS = {"real": (REAL, "ffhq"), "fake": (FAKE, "stylegan")}


class Real140k:
    """Sources `ffhq` and `stylegan`; the published splits are kept if `keep_splits`."""

    archives: tuple[str, ...] = ("140k-real-and-fake-faces.zip", "140k-real-and-fake-faces", "real_vs_fake")
    where = (
        "'140k Real and Fake Faces' by xhlulu on Kaggle "
        "(https://www.kaggle.com/datasets/xhlulu/140k-real-and-fake-faces)"
    )

    def find(self, raw: Path, data: DataConfig) -> Raw:
        """Rows of the first folder that holds `train/real` and its like."""
        folder = first_folder(raw, _fits)
        if folder is None:
            raise UserError(
                f"{raw} is not the 140k data set: it has no train/, valid/ and test/ with real/ and fake/ in each"
            )
        rows = [
            {"path": path.relative_to(folder), "label": label, "source": source, "split": split}
            for name, split in SPLITS.items()
            for kind, (label, source) in KINDS.items()
            for path in images_below(folder / name / kind)
        ]
        table = object_table(rows)
        notes = [note for name in SPLITS for note in _check(table, raw, folder, f"{name}.csv")]
        return Raw(table if data.keep_splits else table.drop(columns="split"), folder, notes)


def _fits(folder: Path) -> bool:
    return all((folder / split / kind).is_dir() for split in SPLITS for kind in KINDS)


def _check(table: pd.DataFrame, raw: Path, folder: Path, name: str) -> list[str]:
    """Hold the folders against a CSV file. Raises UserError for a contradiction; notes what only the CSV has."""
    places = [place for place in (folder, *folder.parents) if place == raw or raw in place.parents]
    listed = next((place / name for place in places if (place / name).is_file()), None)
    if listed is None:
        return []
    try:
        rows = pd.read_csv(listed, dtype=str, usecols=["path", "label"])
    except ValueError as error:
        raise UserError(f"{listed} cannot be read: {error}") from None
    labels = dict(zip(map(to_text, table["path"]), table["label"], strict=True))
    missing = 0
    for path, theirs in zip(rows["path"], rows["label"], strict=True):
        ours = labels.get(path)
        missing += ours is None
        if ours is not None and theirs != str(1 - ours):  # theirs: 1 is real
            raise UserError(f"{listed} gives {path} the label {theirs} (1 means real), which its folder contradicts")
    return [f"{name} lists {missing:,} images that are not in the folders"] if missing else []
