"""Where one scene ends and the next begins: cuts, found by how much a small picture of each frame changes.

The change of a frame is the mean absolute difference of its thumbnail to that of the frame before it, in levels of
0..255. A cut is a change that is large (LEAST) and stands out of its surroundings (TIMES the second largest change
there): in a wild scene a cut has to be wilder than in a still one, frames that come twice hide no movement, and one cut
does not hide the next. A flash is taken for a cut, at the cost of one more frame that is looked at; slow cross-fades
are not found.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of a thumbnail
LEAST = 12.0  # levels of 0..255
TIMES = 2.0
AROUND = 8  # frames on either side that are the surroundings

Thumbnail = NDArray[np.uint8]


def thumbnail(frame: Any) -> Thumbnail:
    """A decoded frame as uint8 [SIDE, SIDE, 3]."""
    return frame.reformat(width=SIDE, height=SIDE, format="rgb24", interpolation="AREA").to_ndarray()


def change(before: Thumbnail, after: Thumbnail) -> float:
    """How much differs, 0 to 255."""
    return float(np.abs(before.astype(np.int16) - after).mean())


def cuts(changes: NDArray[np.float64], most: int) -> list[int]:
    """Rows at which a new scene begins, at most `most`, those with the largest changes; rising.

    `changes` [N]: that of each frame against the one before it, 0 for the first.
    """
    found = [
        row for row in np.flatnonzero(changes >= LEAST) if changes[row] >= TIMES * _surroundings(changes, int(row))
    ]
    strongest = sorted(found, key=lambda row: -changes[row])[:most]
    return sorted(int(row) for row in strongest)


def _surroundings(changes: NDArray[np.float64], row: int) -> float:
    near = np.r_[changes[max(1, row - AROUND) : row], changes[row + 1 : row + 1 + AROUND]]
    return float(np.sort(near)[-2]) if len(near) > 1 else 0.0
