"""Maps as pictures: orange over what speaks for 'fake', blue over what speaks for 'real', clear where there is nothing.

The two colours differ in every form of colour blindness, and they are those that pages use for the two classes. The
picture under them is grey: orange on skin would be lost.
"""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from dfd.explain.maps import Map

FAKE, REAL = (240, 90, 10), (0, 105, 190)
UNSEEN = (110, 110, 110)  # over what the network did not look at
UNSEEN_ALPHA = 150
TOP = 99.5  # percentile of absolute values that has the full colour: a few high pixels must not outshine the rest


def strength(values: np.ndarray) -> np.ndarray:
    """A map scaled to -1..1, float32 [H, W]; NaN stays NaN."""
    known = np.abs(values[np.isfinite(values)])
    top = float(np.percentile(known, TOP)) if known.size else 0.0
    top = top or (float(known.max()) if known.size else 0.0)
    if top == 0:
        return np.where(np.isfinite(values), 0, np.nan).astype(np.float32)
    return np.clip(values / top, -1, 1).astype(np.float32)


def heat(map: Map) -> np.ndarray:
    """The map alone, uint8 RGBA [H, W, 4]: the stronger, the less see-through. Grey where the network did not look."""
    scaled = strength(map.values)
    unseen = np.isnan(scaled)
    scaled = np.nan_to_num(scaled)
    picture = np.empty((*scaled.shape, 4), np.uint8)
    picture[..., :3] = np.where((scaled > 0)[..., None], np.array(FAKE, np.uint8), np.array(REAL, np.uint8))
    picture[..., 3] = np.rint(255 * np.abs(scaled))
    picture[unseen] = (*UNSEEN, UNSEEN_ALPHA)
    return picture


def overlay(image: np.ndarray, map: Map, opacity: float = 0.5) -> np.ndarray:
    """The map over its image in grey, uint8 RGB [H, W, 3]; `opacity` 0..1 is that of the strongest places."""
    colors = heat(map)
    alpha = (colors[..., 3:].astype(np.float32) / 255) * opacity
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return np.rint(grey * (1 - alpha) + colors[..., :3] * alpha).astype(np.uint8)


def png(array: np.ndarray) -> bytes:
    """uint8 [H, W], [H, W, 3] or [H, W, 4] as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()
