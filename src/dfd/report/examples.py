"""The images that the detector got most wrong, with small pictures of them."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from dfd.data.decode import UnusableImage, read_image

SIDE = 160  # pixels of a picture's longer side
PER_KIND = 6
MAX_PIXELS = 64_000_000


@dataclass(frozen=True)
class Example:
    """One image; `picture` is a data URI, or None when the file cannot be read any more."""

    path: str
    source: str
    label: str
    prob: float
    picture: str | None


def most_wrong(predictions: pd.DataFrame, threshold: float, data_root: Path) -> dict[str, list[Example]]:
    """The fakes furthest below the threshold and the reals furthest above it, worst first, up to PER_KIND each."""
    read = predictions[predictions["error"].isna()]
    called_fake = read["prob"] >= read.get("threshold", threshold)
    missed = read[(read["label"] == 1) & ~called_fake].nsmallest(PER_KIND, "logit")
    alarms = read[(read["label"] == 0) & called_fake].nlargest(PER_KIND, "logit")
    return {
        "Fakes called real": [_example(row, "fake", data_root) for row in missed.to_dict("records")],
        "Reals called fake": [_example(row, "real", data_root) for row in alarms.to_dict("records")],
    }


def _example(row: dict[Any, Any], label: str, data_root: Path) -> Example:
    path = str(row["path"])
    source = "(none)" if pd.isna(row["source"]) else str(row["source"])
    return Example(path, source, label, float(row["prob"]), thumbnail(data_root / path))


def thumbnail(path: Path) -> str | None:
    """The image as a JPEG data URI of at most SIDE pixels a side; None when there is no image to be had."""
    try:
        image = Image.fromarray(read_image(path, MAX_PIXELS))
    except UnusableImage:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")
