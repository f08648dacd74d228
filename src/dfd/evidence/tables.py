"""JPEG's quantisation tables: which quality made them. Imports no torch, no pandas."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# The tables of the JPEG standard (ITU-T T.81, annex K), row by row; libjpeg scales them to a quality.
LUMA = np.array(
    [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56]
    + [14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92]
    + [49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99]
)
CHROMA = np.array(
    [17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99]
    + [47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32]
)
QUALITIES = np.arange(1, 101)
_SCALES = np.where(QUALITIES < 50, 5000 // QUALITIES, 200 - 2 * QUALITIES)[:, None]
# [100, 64], as libjpeg rounds
LUMA_AT = np.clip((LUMA * _SCALES + 50) // 100, 1, 255)
CHROMA_AT = np.clip((CHROMA * _SCALES + 50) // 100, 1, 255)


def quality_of(luma: Sequence[int] | NDArray[np.int64]) -> int:
    """The quality 1..100 whose standard luma table is nearest to `luma` [64]; exact for tables that libjpeg makes."""
    return int(QUALITIES[np.abs(LUMA_AT - np.asarray(luma)).sum(axis=1).argmin()])


def standard_quality(luma: Sequence[int], chroma: Sequence[int] | None) -> int | None:
    """The quality 1..100 if these are the standard's tables [64], row by row; None if they are others.

    The table of the colours may be off by one: some encoders round it in another way.
    """
    quality = quality_of(luma)
    same = np.array_equal(LUMA_AT[quality - 1], luma)
    if chroma is not None:
        same = same and bool(np.abs(CHROMA_AT[quality - 1] - np.asarray(chroma)).max() <= 1)
    return quality if same else None
