"""How an image file was encoded: format, colour mode, and JPEG's quantisation tables. Imports no torch, no pandas."""

from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
# The tables of the JPEG standard (ITU-T T.81, annex K), row by row; libjpeg scales them to a quality.
LUMA = np.array(
    [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56]
    + [14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92]
    + [49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99]
)
QUALITIES = np.arange(1, 101)
_SCALES = np.where(QUALITIES < 50, 5000 // QUALITIES, 200 - 2 * QUALITIES)[:, None]
LUMA_AT = np.clip((LUMA * _SCALES + 50) // 100, 1, 255)  # [100, 64], as libjpeg rounds


def format_of(image: Image.Image) -> set[str]:
    """Traits of an opened image's encoding, such as 'JPEG', 'mode RGB', 'progressive' and 'ICC profile'."""
    found = {str(image.format), f"mode {image.mode}"}
    info = image.info
    flags = {"progressive": "progressive", "icc_profile": "ICC profile", "interlace": "interlaced"}
    found |= {name for key, name in flags.items() if info.get(key)}
    if getattr(image, "n_frames", 1) > 1:
        found.add("animated")
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other")
        found.add(f"chroma subsampling {sampling}")
    return found


def quantisation_of(image: Image.Image) -> dict[str, float]:
    """The estimated quality and the numbers of the first two tables; all 0 for what is not JPEG."""
    tables: dict[int, list[int]] = dict(sorted(getattr(image, "quantization", {}).items()))
    found = {"JPEG quality": float(quality_of(next(iter(tables.values())))) if tables else 0.0}
    for number in range(2):
        steps: Any = tables.get(number) or [0] * 64
        found |= {f"table {number}, step {place}": float(step) for place, step in enumerate(steps, start=1)}
    return found


def quality_of(luma: list[int]) -> int:
    """The quality 1..100 whose standard luma table is nearest to `luma` [64]; exact for tables that libjpeg makes."""
    return int(QUALITIES[np.abs(LUMA_AT - np.asarray(luma)).sum(axis=1).argmin()])
