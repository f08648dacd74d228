"""What a training run of a GAN drew, cut and scaled for its page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dfd.data.decode import UnusableImage, read_image
from dfd.gan.pictures import ENDS, GAP, STEPS

COLUMNS = 8  # of a grid of samples or reals
WIDTH = 960  # pixels, as wide as the page; a narrower picture gets larger pixels
QUALITY = 88
MAX_PIXELS = 64_000_000
SHOWN = 6  # ticks


@dataclass(frozen=True)
class Shown:
    """A tick and its first samples; `picture` is a data URI."""

    tick: int
    picture: str


def half_grid(path: Path) -> str | None:
    """The left half of a grid, on which single images are large enough to be judged; None: can't be read."""
    return _cut(path, COLUMNS, COLUMNS // 2)


def strips(path: Path) -> str | None:
    """The beginning of each strip, from an image over a second to a third; None: can't be read."""
    return _cut(path, ENDS * STEPS, 2 * STEPS + 1)


def over_time(folder: Path, ticks: pd.DataFrame, best: int) -> list[Shown]:
    """The first row of samples at up to SHOWN ticks: first, kept, last, first collapsed, and what lies between."""
    kimg = ticks["kimg"].dropna()
    there = kimg[[file_of(folder, "samples", each).is_file() for each in kimg]]
    chosen = _spread(there, ticks, best)
    drawn = [_cut(file_of(folder, "samples", there[tick]), COLUMNS, COLUMNS, rows=1) for tick in chosen]
    return [Shown(tick, picture) for tick, picture in zip(chosen, drawn, strict=True) if picture is not None]


def file_of(folder: Path, kind: str, kimg: float) -> Path:
    """Where `dfd.training.gan_watch` puts the 'samples' or the 'strips' of a tick."""
    return folder / f"{kind}-{round(kimg * 1000):09}.png"


def _spread(kimg: pd.Series, ticks: pd.DataFrame, best: int) -> list[int]:
    """Up to SHOWN ticks that tell most. Early ones lie closer: there, samples change faster."""
    if kimg.empty:
        return []
    collapsed = ticks.index[ticks["collapsed"] > 0]
    wanted = [best, kimg.index[0], kimg.index[-1], *collapsed[:1]]
    chosen = [tick for tick in dict.fromkeys(wanted) if tick in kimg.index]
    place = np.sqrt(kimg)
    while len(chosen) < min(SHOWN, len(kimg)):
        gaps = abs(place.to_numpy()[:, None] - place[chosen].to_numpy()).min(axis=1)
        gaps[kimg.index.isin(chosen)] = -1
        chosen.append(kimg.index[gaps.argmax()])
    return sorted(chosen)


def _cut(path: Path, columns: int, kept: int, rows: int | None = None) -> str | None:
    """The first `kept` of a grid's columns, and of its rows, as a data URI."""
    try:
        pixels = read_image(path, MAX_PIXELS)
    except UnusableImage:
        return None
    cell = (pixels.shape[1] + GAP) // columns
    return _uri(pixels[: rows and rows * cell - GAP, : kept * cell - GAP])


def _uri(pixels: np.ndarray) -> str:
    """As JPEG. Small pictures get whole larger pixels, so that what is seen was generated and not interpolated."""
    factor = -(-WIDTH // pixels.shape[1])
    image = Image.fromarray(np.ascontiguousarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1)))
    if factor == 1:
        image.thumbnail((WIDTH, image.height), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")
