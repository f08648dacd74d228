"""The pointing game (Zhang et al. 2018): does a map's highest place lie where the picture was altered?"""

import cv2
import numpy as np

SOFT = 0.02  # of the shorter side: single pixels are no place; all maps are softened alike


def peak(values: np.ndarray) -> tuple[int, int]:
    """Row and column of the highest place of a map [H, W] that speaks for 'fake'; NaN is never the highest."""
    known = np.isfinite(values)
    sigma = max(0.5, SOFT * min(values.shape))
    soft = cv2.GaussianBlur(np.where(known, values, 0).astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    place = int(np.where(known, soft, -np.inf).argmax())
    return place // values.shape[1], place % values.shape[1]


def hit(values: np.ndarray, altered: np.ndarray) -> bool:
    """True if the peak lies in `altered`, bool [H, W]."""
    return bool(altered[peak(values)])
