"""Which frames are looked at."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spread(times: NDArray[np.float64], n: int) -> list[int]:
    """At most `n` frames spread evenly over the time: those on show in the middle of n equal stretches of it.

    `times` [N] are rising, in seconds. A frame that is on show for long is taken once. Returns rising row numbers.
    """
    if len(times) <= n:
        return list(range(len(times)))
    end = times[-1] + np.median(np.diff(times))
    middles = times[0] + (np.arange(n) + 0.5) * (end - times[0]) / n
    middles += 1e-9 * (end - times[0])  # a frame that begins in the very middle is on show there
    return sorted({int(row) for row in np.searchsorted(times, middles, side="right") - 1})


def together(frames: Sequence[int], scenes: Sequence[int]) -> list[int]:
    """Both, each once, in rising order."""
    return sorted({*frames, *scenes})
