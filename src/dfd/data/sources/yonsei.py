"""*Real and Fake Face Detection* (Yonsei University, CIPLAB): photographs, and composites of them made by hand.

    real_and_fake_face/training_real/real_00001.jpg
    real_and_fake_face/training_fake/mid_12_0110.jpg     difficulty, number, replaced regions

The four digits say whether the left eye, right eye, nose and mouth were replaced. Kaggle's archive holds the
folder twice, the second time in `real_and_fake_face_detection/`; it is read once.
"""

import re
from pathlib import Path

from dfd.config import DataConfig
from dfd.data.discover import images_below
from dfd.data.sources.base import FAKE, REAL, Raw, first_folder, object_table
from dfd.errors import UserError

FAKE_NAME = re.compile(r"(easy|mid|hard)_\d+_(\d+)")


class Yonsei:
    """Sources `yonsei-real`, `yonsei-easy`, `yonsei-mid`, `yonsei-hard`; column `region`, four digits or empty."""

    archives: tuple[str, ...] = (
        "real-and-fake-face-detection.zip",
        "real-and-fake-face-detection",
        "real_and_fake_face",
    )
    where = (
        "'Real and Fake Face Detection' by ciplab on Kaggle "
        "(https://www.kaggle.com/datasets/ciplab/real-and-fake-face-detection)"
    )

    def find(self, raw: Path, data: DataConfig) -> Raw:
        """Rows for the first folder that holds both `training_real` and `training_fake`."""
        folder = first_folder(raw, _fits)
        if folder is None:
            raise UserError(f"{raw} is not the Yonsei data set: no folder in it has training_real/ and training_fake/")
        notes: list[str] = []
        rows = [
            {"path": path.relative_to(folder), "label": REAL, "source": "yonsei-real", "region": ""}
            for path in images_below(folder / "training_real")
        ]
        for path in images_below(folder / "training_fake"):
            difficulty, region = _parse(path, notes)
            rows.append(
                {"path": path.relative_to(folder), "label": FAKE, "source": f"yonsei-{difficulty}", "region": region}
            )
        return Raw(object_table(rows), folder, notes)


def _fits(folder: Path) -> bool:
    return (folder / "training_real").is_dir() and (folder / "training_fake").is_dir()


def _parse(path: Path, notes: list[str]) -> tuple[str, str]:
    """Difficulty and region of a fake's name."""
    match = FAKE_NAME.fullmatch(path.stem)
    if not match:
        raise UserError(f"{path.name!r} in training_fake is not named (easy|mid|hard)_NUMBER_REGION")
    if len(match[2]) != 4:  # the data set has one: easy_116_111.jpg, and which digit is missing cannot be known
        notes.append(f"{path.name} has {len(match[2])} digits for the four regions; its region is left empty")
        return match[1], ""
    return match[1], match[2]
