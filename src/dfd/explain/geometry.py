"""From a map over a network's input back to the image that the input was made from."""

import cv2
import numpy as np

from dfd.data.transforms import Preprocessing, crop_at, pad_to


def placed(values: np.ndarray, preprocessing: Preprocessing, height: int, width: int) -> np.ndarray:
    """A map float32 [size, size] over the input as one over the image, float32 [H, W]; NaN where the input ends.

    Where a small image was mirrored at its borders, a pixel gets the mean of all its copies.
    """
    if preprocessing.fit == "resize":
        return resized(values, height, width)
    if preprocessing.fit == "square":
        side = min(height, width)
        rows, columns = _middle(height, side), _middle(width, side)
        values = resized(values, side, side)
    else:
        rows, columns = _crop(height, preprocessing.size), _crop(width, preprocessing.size)
    total, count = np.zeros((2, height, width), np.float32)
    np.add.at(total, np.ix_(rows, columns), values)
    np.add.at(count, np.ix_(rows, columns), 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map [h, w] at another size, float32: bilinear where it grows, the mean of areas where it shrinks."""
    shrinks = height < values.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(values.astype(np.float32), (width, height), interpolation=how)


def shrunk(values: np.ndarray, longest: int) -> np.ndarray:
    """A map [H, W] with no side above `longest`: the mean of areas, NaN where a part of one is NaN."""
    height, width = values.shape
    factor = longest / max(height, width)
    if factor >= 1:
        return values
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _middle(length: int, side: int) -> np.ndarray:
    return _cut(np.arange(length), side)


def _crop(length: int, size: int) -> np.ndarray:
    """Which places of an axis a crop shows, in the crop's order: by the very functions that make the crop."""
    return _cut(pad_to(np.arange(length)[:, None, None], size)[:, 0, 0], size)


def _cut(places: np.ndarray, size: int) -> np.ndarray:
    return crop_at(places[:, None, None], size, 1, (0.5, 0.5))[:, 0, 0]
