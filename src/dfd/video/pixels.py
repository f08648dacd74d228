"""From a decoded frame to pixels as a player shows them: upright, 8 bits, RGB, transparency over white.

Not done: tone mapping (HDR frames come out flat) and de-interlacing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSPECIFIED, BT709 = 2, 1  # AVColorSpace; BT709 has the same number among swscale's
HD_WIDTH, HD_HEIGHT = 1280, 576
MOST_STRETCH = 4.0  # a pixel that claims to be longer than this is not believed

Pixels = NDArray[np.uint8]


def to_rgb(frame: Any, aspect: float = 1.0) -> Pixels:
    """uint8 RGB [H, W, 3]; `aspect` is the width of a pixel over its height."""
    width = round(frame.width * aspect) if 1 / MOST_STRETCH <= aspect <= MOST_STRETCH else frame.width
    clear = _is_transparent(frame)
    made = frame.reformat(
        width=max(1, width),
        format="rgba" if clear else "rgb24",
        src_colorspace=BT709 if _is_hd(frame) else None,
        interpolation="BICUBIC",
        threads=1,
    ).to_ndarray()
    return upright(_over_white(made) if clear else made, _matrix(frame))


def upright(pixels: Pixels, matrix: NDArray[np.int32] | None) -> Pixels:
    """Turned and mirrored as the display matrix [3, 3] says; of other angles than right ones, as the nearest."""
    if matrix is None:
        return np.ascontiguousarray(pixels)
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        down, across = d < 0, a < 0
    else:
        pixels, down, across = pixels.transpose(1, 0, 2), b < 0, c < 0
    return np.ascontiguousarray(pixels[:: -1 if down else 1, :: -1 if across else 1])


def _matrix(frame: Any) -> NDArray[np.int32] | None:
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def _is_hd(frame: Any) -> bool:
    """A file that does not name its colours means BT.709 if it is HD, as players take it, and BT.601 otherwise."""
    return frame.colorspace == UNSPECIFIED and (frame.width >= HD_WIDTH or frame.height > HD_HEIGHT)


def _is_transparent(frame: Any) -> bool:
    return any(component.is_alpha for component in frame.format.components) or frame.format.has_palette


def _over_white(pixels: Pixels) -> Pixels:
    """RGBA [H, W, 4] to RGB."""
    alpha = pixels[..., 3:].astype(np.uint16)
    return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
