"""Maps that know nothing of the image: what a method has to be better than.

Noise is the lowest floor. Smooth random maps are a harder one, for real evidence lies in patches too; and a peak in
the middle of the face is the hardest where faces are what is altered.
"""

import math

import cv2
import numpy as np

MARGIN = 4  # deviations of the blur, beyond which it does not reach
SMOOTH = 0.1  # of the shorter side: deviation of the blur that makes noise smooth


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Independent normal values, float32 [H, W]."""
    return np.random.default_rng(seed).standard_normal((height, width), dtype=np.float32)


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    """Blurred noise of deviation 1, float32 [H, W]; cut out of a larger one, or its peaks would gather at the edges."""
    sigma = max(1.0, SMOOTH * min(height, width))
    margin = math.ceil(MARGIN * sigma)
    wide = noise(height + 2 * margin, width + 2 * margin, seed)
    soft = cv2.GaussianBlur(wide, (0, 0), sigma)[margin:-margin, margin:-margin]
    return soft * np.float32(2 * math.sqrt(math.pi) * sigma)  # the deviation that blurred white noise has, undone


def peaked(height: int, width: int, at: tuple[float, float]) -> np.ndarray:
    """1 at a place, in parts of the width and the height, and less with the distance from it; float32 [H, W]."""
    columns = (np.arange(width, dtype=np.float32) + 0.5) / width - at[0]
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height - at[1]
    return 1 - np.hypot(rows[:, None], columns[None, :])
