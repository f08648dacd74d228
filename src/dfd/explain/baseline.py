"""What stands in for a part of an image that is taken away: the same place, blurred beyond recognition."""

import cv2
import numpy as np

SIGMA = 0.05  # of the shorter side: a face loses its features and keeps its colours
SIDE = 256  # pixels; a larger image is blurred at this size, which nobody can tell afterwards


def blurred(image: np.ndarray) -> np.ndarray:
    """A blurred copy of an image, uint8 [H, W, 3].

    Black or grey patches would be edges of their own, which a network may take for traces of editing.
    """
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = image
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(1.0, SIGMA * min(small.shape[:2])), borderType=cv2.BORDER_REFLECT)
    return soft if scale == 1 else cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
