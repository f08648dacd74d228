"""What can be said of an image file without looking for forgery: its form, its size, its colours, its blurred content.

Neither this module nor what it imports may import torch or pandas: every worker process would load them.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfd.audit.container import format_of, quantisation_of
from dfd.audit.tags import tags_of
from dfd.data.decode import UnusableImage, open_image, read_bytes, to_rgb

THUMBNAIL = 8  # side in pixels
BLURRED = 20  # side in pixels: no trace of editing survives it, who and how was photographed does

Numbers = dict[str, float]


@dataclass(frozen=True)
class Nuisance:
    """One image file. With an `error` the rest is empty.

    Keys of `numbers` and members of `traits` begin with their family, as in 'size: width' and 'format: JPEG'. A trait
    is something that a file has or has not. `thumbnail` is uint8 RGB [8, 8, 3], `blurred` uint8 grey [20, 20].
    """

    numbers: Numbers = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    thumbnail: NDArray[np.uint8] | None = None
    blurred: NDArray[np.uint8] | None = None
    error: str = ""


def describe(path: Path, max_pixels: int) -> Nuisance:
    """Read one file; never raises for what the file holds."""
    try:
        data = read_bytes(path)
        image = open_image(data, max_pixels)
        traits = {f"format: {name}" for name in format_of(image)} | {f"metadata: {name}" for name in tags_of(image)}
        tables = quantisation_of(image)
        pixels = to_rgb(image)
        return Nuisance(
            numbers=_prefixed("quantisation", tables) | size_of(pixels, len(data)) | colours_of(pixels),
            traits=frozenset(traits),
            thumbnail=reduced(pixels, THUMBNAIL, THUMBNAIL),
            blurred=np.asarray(Image.fromarray(reduced(pixels, BLURRED, BLURRED)).convert("L")),
        )
    except UnusableImage as unusable:
        return Nuisance(error=unusable.reason)
    except MemoryError:
        return Nuisance(error="does not fit into memory")


def size_of(pixels: NDArray[np.uint8], size: int) -> Numbers:
    """Width and height as displayed in pixels, their ratio, and the file's bytes per pixel."""
    height, width = pixels.shape[:2]
    return {
        "size: width": float(width),
        "size: height": float(height),
        "size: width over height": width / height,
        "bytes_per_pixel: bytes per pixel": size / (width * height),
    }


def colours_of(pixels: NDArray[np.uint8]) -> Numbers:
    """Mean and deviation of each channel, 0..255."""
    # By way of the histogram: the squares of a large image's pixels would take gigabytes.
    counts = np.reshape(Image.fromarray(pixels).histogram(), (3, 256)) / (pixels.size // 3)
    levels = np.arange(256)
    found = {}
    for name, share in zip(("red", "green", "blue"), counts, strict=True):
        mean = float(share @ levels)
        found[f"colour: mean of {name}"] = mean
        found[f"colour: deviation of {name}"] = float(np.sqrt(share @ (levels - mean) ** 2))
    return found


def reduced(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Averages over areas of RGB [H, W, 3], as uint8 [height, width, 3]; each pixel of the source counts."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _prefixed(family: str, numbers: Numbers) -> Numbers:
    return {f"{family}: {name}": value for name, value in numbers.items()}
