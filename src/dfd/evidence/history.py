"""A hint at an earlier JPEG compression, from the traces that it left in a JPEG file's coefficients.

Quantised twice, the coefficients of a block pile up on some multiples of the step and are missing on others. What they
would look like without the earlier compression is estimated from the same picture cut four pixels in, where the
8 x 8 grid falls elsewhere (calibration; after Fridrich, Goljan and Hogea, "Steganalysis of JPEG images: breaking the F5
algorithm", 2002, and Lukas and Fridrich, "Estimation of primary quantization matrix in double compressed JPEG images",
2003). For each earlier quality the likelihood of the coefficients is compared with that of a single compression. Only a
compression on the same grid shows: a crop or a resize in between hides it, and two equal qualities leave nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from dfd.evidence.tables import LUMA_AT, QUALITIES

SIDE = 1024  # pixels; the middle of a larger picture is enough
LEAST_BLOCKS = 256  # 128 x 128 pixels
# Low frequencies, row by row: high ones are mostly zero.
MODES = (1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4)
LARGEST = 24  # multiples of the step that are counted
EARLIER = range(40, 99)  # qualities that are tried; a finer one leaves no trace
ROUNDING = 0.4  # deviation of a coefficient that rounding to pixels and colours in between causes
TILTS = np.linspace(-0.6, 0.6, 25)  # by which a distribution over the multiples may fall faster or slower
DOUBT = 0.05  # share of coefficients that the model of a double compression does not claim
# From where on a hint is given; docs/verdict-card.md says how often it errs.
THRESHOLD = 0.007  # nats a coefficient: small faults of the model stay below it in pictures of any size
LEAST_EVIDENCE = 40  # nats in all: chance stays below it

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """The best guess: an earlier compression at `quality` 1..100, and how far the coefficients speak for it.

    `score` is the mean log-likelihood ratio against a single compression, in nats for each of `coefficients`, which are
    those other than zero at low frequencies.
    """

    quality: int
    score: float
    coefficients: int

    @property
    def found(self) -> bool:
        """Whether the traces are clear enough for a hint."""
        return self.score >= THRESHOLD and self.score * self.coefficients >= LEAST_EVIDENCE


def history_of(image: Image.Image, luma: tuple[int, ...]) -> History | None:
    """Look at an opened JPEG whose luminance has the table `luma` [64], row by row; decodes and uses up the image.

    None where there is too little to tell by: a small, flat or coarsely saved picture.
    """
    grey = _luminance(image)
    if grey is None:
        return None
    blocks, shifted = _coefficients(grey), _coefficients(grey[4:-4, 4:-4])
    if len(blocks) < LEAST_BLOCKS:
        return None
    jitter = np.random.default_rng(0).normal(0, ROUNDING, len(shifted))
    ratios, total = np.zeros(len(EARLIER)), 0
    for mode in MODES:
        counts = _counts(blocks[:, mode], luma[mode])
        total += int(counts.sum())
        ratios += _ratios(counts, shifted[:, mode], luma[mode], LUMA_AT[np.array(EARLIER) - 1, mode], jitter)
    best = int(ratios.argmax())
    return History(int(QUALITIES[EARLIER[best] - 1]), float(ratios[best] / max(1, total)), total)


def _luminance(image: Image.Image) -> Floats | None:
    """The stored luminance [h, w], its middle if it is large, cut to whole blocks; None for other colour models."""
    if image.mode not in ("L", "RGB"):
        return None
    image.draft("L", None)  # the decoder's own luminance: conversion to RGB and back would round twice
    if image.mode != "L":
        return None
    width, height = (side - side % 8 for side in image.size)
    left, top = ((side - min(side, SIDE)) // 2 // 8 * 8 for side in (width, height))
    part = image.crop((left, top, left + min(width, SIDE), top + min(height, SIDE)))
    return np.asarray(part, np.float64) - 128


def _coefficients(grey: Floats) -> Floats:
    """DCT coefficients [blocks, 64], scaled as in JPEG, of a picture [h, w] cut into blocks of 8 x 8."""
    rows, columns = grey.shape[0] // 8, grey.shape[1] // 8
    blocks = grey[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return np.asarray(dctn(blocks, axes=(1, 2), norm="ortho")).reshape(-1, 64)


def _counts(values: Floats, step: int) -> Floats:
    """How many coefficients are 1, 2, … LARGEST steps from zero."""
    multiples = np.abs(np.rint(values / step)).astype(np.int64)
    return np.bincount(multiples[multiples <= LARGEST], minlength=LARGEST + 1)[1:].astype(np.float64)


def _ratios(counts: Floats, smooth: Floats, step: int, earlier: NDArray[np.int64], jitter: Floats) -> Floats:
    """For each earlier step, the log-likelihood ratio of `counts` that it was there; 0 where both steps are equal."""
    steps, places = np.unique(earlier, return_inverse=True)
    once = _shares(_counts(smooth, step))
    twice = np.stack([_shares(_counts(np.rint(smooth / first) * first + jitter, step)) for first in steps])
    ratios = _likelihood(counts, (1 - DOUBT) * twice + DOUBT * once) - _likelihood(counts, once[None])
    return np.asarray(np.where(steps == step, 0.0, ratios)[places])


def _likelihood(counts: Floats, shares: Floats) -> Floats:
    """Log-likelihood of `counts` [k] under each row of `shares` [n, k], at the tilt that fits it best.

    The cut picture is a little smoother or rougher than the picture was; a tilt makes up for that, and leaves the gaps
    and piles of a second quantisation.
    """
    tilted = shares[:, None] * np.exp(-TILTS[:, None] * np.arange(1, LARGEST + 1))
    return np.asarray((np.log(tilted / tilted.sum(axis=2, keepdims=True)) @ counts).max(axis=1))


def _shares(counts: Floats) -> Floats:
    """As probabilities, none of them zero."""
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
