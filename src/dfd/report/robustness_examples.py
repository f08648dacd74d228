"""One image under the hardest changes, as small pictures."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dfd.data.changes import Change, hardest
from dfd.data.decode import UnusableImage, read_image
from dfd.inference.versions import image_seed

SIDE = 256  # pixels of a picture's longer side; a smaller image is shown as it is
QUALITY = 90  # high enough not to add to what is to be seen


@dataclass(frozen=True)
class Example:
    """One version; `picture` is a data URI."""

    name: str
    picture: str
    prob: float | None
    verdict: str


def example_versions(
    table: pd.DataFrame, changes: Sequence[Change], seed: int, file: Callable[[str], Path], max_pixels: int
) -> tuple[str, list[Example]]:
    """An image's path, and its pictures: as it is, then under the hardest changes of each kind. Empty if unreadable.

    `table` is that of `commands.robustness.score_versions`. The image is the first fake that was called fake and has
    no failed version, or else the first readable one.
    """
    count = 1 + len(changes)
    row = _choose(table, count)
    if row is None:
        return "", []
    own = table.iloc[row * count : (row + 1) * count].to_dict("records")
    path = str(own[0]["path"])
    try:
        image = read_image(file(path), max_pixels)
    except UnusableImage:
        return path, []
    shown = {change for kind in dict.fromkeys(c.kind for c in changes) for change in hardest(changes, kind)}
    made = [_example("unchanged", image, own[0])]
    for change, record in zip(changes, own[1:], strict=True):
        if change in shown:
            try:
                made.append(_example(str(change), change(image, seed, image_seed(own[0]["sha256"])), record))
            except UnusableImage:
                continue
    return path, made


def _choose(table: pd.DataFrame, count: int) -> int | None:
    first = table.iloc[::count]
    readable = first["error"].isna().to_numpy()
    complete = table["error"].isna().to_numpy().reshape(-1, count).all(axis=1)
    found = complete & (first["label"] == 1).to_numpy() & (first["verdict"] == "fake").to_numpy()
    rows = np.flatnonzero(found if found.any() else readable)
    return int(rows[0]) if len(rows) else None


def _example(name: str, image: np.ndarray, record: dict[Any, Any]) -> Example:
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    uri = "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")
    prob = None if pd.isna(record["prob"]) else float(record["prob"])
    return Example(name, uri, prob, record["verdict"] or "no verdict")
