"""Views of a picture for the analyst: spectrum, noise residual and error level. No detector takes part in them.

Each is made of the middle of the picture at its own resolution: resizing would remove what they are to show.
"""

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from dfd.data.transforms import crop_at

SIDE = 768  # pixels of the middle that is looked at, at most
SMALLEST = 16  # pixels; a smaller picture has no spectrum worth the name
QUALITY = 90
TOP = 99.5  # percentile that becomes the brightest value


@dataclass(frozen=True)
class View:
    """One picture, uint8 [h, w], what to look for in it, and how it misleads. Sentences for the reader of a page."""

    name: str
    title: str
    picture: np.ndarray
    look: str
    misleads: str


@dataclass(frozen=True)
class Spectrum:
    """Log power over frequency: `picture` float64 [n, n] with frequency 0 in the middle, and its azimuthal average.

    `frequency` [k] is in cycles a pixel, up to 0.5; `power` [k] in decibels (10 log10).
    """

    picture: np.ndarray
    frequency: np.ndarray
    power: np.ndarray


def middle(image: np.ndarray) -> np.ndarray:
    """The part that the views are made of, uint8 RGB [h, w, 3], at most SIDE pixels a side."""
    height, width = (min(SIDE, side) for side in image.shape[:2])
    return crop_at(image, height, width, (0.5, 0.5))


def views(image: np.ndarray) -> list[View]:
    """The views of uint8 RGB [H, W, 3]; none of a picture with a side under SMALLEST pixels."""
    part = middle(image)
    if min(part.shape[:2]) < SMALLEST:
        return []
    return [
        View(
            "spectrum",
            "Power spectrum",
            _grey(spectrum(part).picture, 1),
            "Up-sampling in a generator leaves a regular grid of bright dots away from the middle, or a curve that "
            "rises again at its end where that of a photograph falls.",
            "JPEG blocks, screens, printed paper and resizing leave dots as well, and re-encoding wipes out those of a "
            "generator.",
        ),
        View(
            "residual",
            "Noise residual",
            _signed(residual(part)),
            "A photograph has the grain of one camera all over: look for a part with other grain, or with none.",
            "Flat, dark, blurred and over-exposed places have less grain in every photograph, and strong compression "
            "leaves none at all.",
        ),
        View(
            "error_level",
            "Error level",
            _grey(error_level(part), 0),
            f"Saved once more as JPEG of quality {QUALITY}, a part that was pasted in may change more than what lies "
            "around it and has the same texture.",
            "Edges and fine texture always light up; after one re-encoding of the whole picture, which every platform "
            "does, nothing else is left to see.",
        ),
    ]


def spectrum(image: np.ndarray) -> Spectrum:
    """Of the brightness of uint8 RGB [H, W, 3], over its largest middle square, under a Hann window."""
    side = min(image.shape[:2])
    grey = _brightness(crop_at(image, side, side, (0.5, 0.5)))
    window = np.hanning(side + 2)[1:-1]
    power = np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * np.outer(window, window)))) ** 2
    decibels = 10 * np.log10(power / window.sum() ** 2 + 1e-6)
    place = np.fft.fftshift(np.fft.fftfreq(side))
    ring = np.rint(np.hypot(place[:, None], place[None, :]) * side).astype(np.int64).ravel()
    inside = (ring > 0) & (ring <= side // 2)  # ring 0 is the mean; corners beyond 0.5 hold few directions
    count = np.bincount(ring[inside])[1:]
    mean_power = np.bincount(ring[inside], weights=power.ravel()[inside])[1:] / count
    average = 10 * np.log10(mean_power / window.sum() ** 2 + 1e-6)
    return Spectrum(decibels, np.arange(1, len(count) + 1) / side, average)


def residual(image: np.ndarray) -> np.ndarray:
    """Brightness less that of the image after a median of 3 x 3 pixels, float32 [H, W]."""
    return _brightness(image) - _brightness(cv2.medianBlur(image, 3))


def error_level(image: np.ndarray) -> np.ndarray:
    """Largest change of a colour when the image is saved as JPEG, float32 [H, W], in levels of 0..255."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    again = np.asarray(Image.open(buffer).convert("RGB"))
    return np.abs(again.astype(np.float32) - image).max(axis=2)


def _brightness(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _grey(values: np.ndarray, low: float) -> np.ndarray:
    """From the percentile `low` to the percentile TOP as black to white."""
    bottom, top = np.percentile(values, [low, TOP])
    return np.rint(255 * np.clip((values - bottom) / max(float(top - bottom), 1e-6), 0, 1)).astype(np.uint8)


def _signed(values: np.ndarray) -> np.ndarray:
    """0 as middle grey, and the percentile TOP of absolute values as white."""
    top = max(float(np.percentile(np.abs(values), TOP)), 1e-6)
    return np.rint(127.5 + 127.5 * np.clip(values / top, -1, 1)).astype(np.uint8)
