"""Fakes made of real photographs for training: parts of another face put into a face.

Such a fake has the scene, the camera and the file's history of its original, so that nothing but the splice tells them
apart (the idea of Li et al. 2020, 'Face X-ray', and of Shiohara and Yamasaki 2022, 'Detecting Deepfakes with
Self-Blended Images'; written from the papers). No landmarks are needed: of some other faces the one is taken whose
middle, moved a little, fits best; and parts lie where they usually lie in a portrait.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from dfd.data.changes import saved
from dfd.data.layout import PARTS

SIDE = 48  # pixels of the pictures that are compared
SLACK = 6  # of them: how far a donor may be moved
MIDDLE = (slice(17, 43), slice(10, 38))  # rows and columns of the inner face in such a picture
CANDIDATES = 16  # donors that one is chosen from
QUALITY = (60, 95)  # JPEG, of a spliced picture

PART = 0.65  # chance of each part to be replaced
WHOLE = 0.4  # chance of one piece where all parts are
POISSON = 0.4  # chance of gradients in place of a soft edge
SOFTENED = 0.2  # chance of a donor that is less sharp


@dataclass(frozen=True)
class Fit:
    """A donor, and how far it must be moved, in parts of width and height."""

    donor: int
    right: float
    down: float


def thumbnail(image: np.ndarray) -> np.ndarray:
    """uint8 RGB [H, W, 3] to what faces are compared by: float32 [SIDE, SIDE]."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def best_fit(own: np.ndarray, thumbnails: np.ndarray, allowed: np.ndarray, rng: np.random.Generator) -> Fit:
    """Of some faces drawn from those `allowed` of `thumbnails` [n, SIDE, SIDE], the one that fits the face `own`.

    `allowed` are numbers from 0 to n - 1, at least one; `own` is a thumbnail, too.
    """
    middle, found = own[MIDDLE], []
    for donor in rng.choice(allowed, min(CANDIDATES, len(allowed)), replace=False):
        wide = cv2.copyMakeBorder(thumbnails[donor], SLACK, SLACK, SLACK, SLACK, cv2.BORDER_REFLECT)
        place = wide[MIDDLE[0].start : MIDDLE[0].stop + 2 * SLACK, MIDDLE[1].start : MIDDLE[1].stop + 2 * SLACK]
        _, likeness, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(place, middle, cv2.TM_CCOEFF_NORMED))
        found.append((likeness, Fit(int(donor), (SLACK - x) / SIDE, (SLACK - y) / SIDE)))
    return max(found, key=lambda each: each[0])[1]


def splice(image: np.ndarray, donor: np.ndarray, fit: Fit, rng: np.random.Generator) -> np.ndarray:
    """uint8 RGB [H, W, 3] with parts of `donor`, of any size, in it, saved as JPEG. H, W >= 16."""
    height, width = image.shape[:2]
    mask = _mask(height, width, rng)
    donor = _moved(cv2.resize(donor, (width, height), interpolation=cv2.INTER_AREA), fit, rng)
    if rng.random() < SOFTENED:
        donor = cv2.GaussianBlur(donor, (0, 0), rng.uniform(0.3, 0.9) * _scale(width))
    donor = _matched(donor, image, mask, rng.uniform(0.6, 1))
    return reencoded(_blended(image, donor, mask, rng), rng)


def reencoded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Saved as JPEG of a quality as spliced pictures have."""
    return saved(Image.fromarray(image), "JPEG", int(rng.integers(QUALITY[0], QUALITY[1] + 1)))


def _scale(width: int) -> float:
    """Sizes of edges are meant for pictures of 160 pixels."""
    return width / 160


def _mask(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [H, W]: 1 where the donor's pixels come, with hard edges."""
    mask = np.zeros((height, width), np.float32)
    parts = [box for box in PARTS.values() if rng.random() < PART] or [list(PARTS.values())[rng.integers(len(PARTS))]]
    if len(parts) == len(PARTS) and rng.random() < WHOLE:
        parts = [(0.25, 0.38, 0.75, 0.87)]
    for left, top, right, bottom in parts:
        centre = (
            round(((left + right) / 2 + rng.normal(0, 0.015)) * width),
            round(((top + bottom) / 2 + rng.normal(0, 0.015)) * height),
        )
        size = rng.uniform(0.8, 1.25)
        axes = (
            max(2, round((right - left) / 2 * size * width)),
            max(2, round((bottom - top) / 2 * size * height * rng.uniform(0.8, 1.2))),
        )
        cv2.ellipse(mask, centre, axes, float(rng.uniform(-15, 15)), 0, 360, 1.0, -1)
    return mask


def _moved(donor: np.ndarray, fit: Fit, rng: np.random.Generator) -> np.ndarray:
    """Where it fits, and a little beside it, turned and scaled."""
    height, width = donor.shape[:2]
    turn = cv2.getRotationMatrix2D((width * 0.5, height * 0.6), rng.normal(0, 3), rng.uniform(0.94, 1.08))
    turn[:, 2] = turn[:, 2] + (np.array([fit.right, fit.down]) + rng.normal(0, 0.008, 2)) * (width, height)
    # Not BORDER_REFLECT_101: with it, OpenCV 5 never returns from an image that is one pixel wide.
    return cv2.warpAffine(donor, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _matched(donor: np.ndarray, image: np.ndarray, mask: np.ndarray, strength: float) -> np.ndarray:
    """The donor in the colours (mean and deviation in CIELAB) that the picture has around where it comes."""
    around = cv2.dilate(mask, np.ones((7, 7))) > 0
    source, target = (cv2.cvtColor(each, cv2.COLOR_RGB2LAB).astype(np.float32) for each in (donor, image))
    for channel in range(3):
        given, wanted = source[..., channel][around], target[..., channel][around]
        gain = np.clip((wanted.std() + 1) / (given.std() + 1), 0.6, 1.6)
        change = (source[..., channel] - given.mean()) * (gain - 1) + wanted.mean() - given.mean()
        source[..., channel] += strength * change
    return cv2.cvtColor(np.clip(source, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def _blended(image: np.ndarray, donor: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < POISSON:
        # Its own border is left out: OpenCV blends gradients only where a pixel has neighbours on all sides.
        inner = np.zeros(mask.shape, np.uint8)
        inner[2:-2, 2:-2] = mask[2:-2, 2:-2] * 255
        rows, columns = np.nonzero(inner)
        centre = (int(columns.min() + columns.max() + 1) // 2, int(rows.min() + rows.max() + 1) // 2)
        return cv2.seamlessClone(donor, image.copy(), inner, centre, cv2.NORMAL_CLONE)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 4) * _scale(image.shape[1]))[..., None]
    return np.clip(image * (1 - soft) + donor * soft + 0.5, 0, 255).astype(np.uint8)
