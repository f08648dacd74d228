"""From the pixels of a file to the pixels of the network: augmentation (training only) and preprocessing."""

import os
import random
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from dfd.config import AugmentConfig
from dfd.errors import UserError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer release at import

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


FITS = ("resize", "square", "crop")
MAX_SIZE = 4096  # pixels; no network takes more
MIN_SIDE = 16  # pixels; resizing down by some factors leaves nothing of a smaller image


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input. Belongs to the bundle; the same in training and in use.

    `fit`: 'resize' squeezes the whole image to size x size; 'square' resizes the middle square; 'crop' takes the centre
    at native resolution (an image smaller than that is mirrored at its borders). `mean` and `std` are for inputs in
    0..1; the detector applies them itself.
    """

    size: int
    fit: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: np.ndarray, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        """uint8 RGB [H, W, 3] to uint8 RGB [size, size, 3]; `offset` (0..1, down and to the right) places the crop."""
        if self.fit == "crop":
            return crop_at(pad_to(image, self.size), self.size, self.size, offset)
        if self.fit == "square":
            image = centre_square(image)
        if image.shape[:2] == (self.size, self.size):
            return image
        return resized(image, self.size, self.interpolation)

    def to_dict(self) -> dict[str, Any]:
        """For YAML."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """Inverse of `to_dict`. Raises UserError on a missing or unknown entry."""
        try:
            colours = {name: tuple(float(value) for value in values[name]) for name in ("mean", "std")}
            made = cls(**{**values, **colours})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"preprocessing is incomplete or has an unknown entry: {error}") from None
        known = made.fit in FITS and made.interpolation in FILTERS and type(made.size) is int
        if not known or not 1 <= made.size <= MAX_SIZE or not _are_colours(made):
            raise UserError(f"preprocessing has an unknown value: {values}")
        return made


def _are_colours(made: Preprocessing) -> bool:
    """Whether mean and std are three numbers each that can be used."""
    numbers = np.array([*made.mean, *made.std])
    return len(made.mean) == len(made.std) == 3 and bool(np.isfinite(numbers).all()) and min(made.std) > 0


@dataclass(frozen=True)
class Joint:
    """The inputs of networks that want an image in different forms, made from one decoded image."""

    each: tuple[Preprocessing, ...]

    def __call__(self, image: np.ndarray, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        """uint8 RGB [H, W, 3] to uint8 RGB [1, P, 3], P the pixels of all forms; one form stays [size, size, 3]."""
        forms = [preprocessing(image, offset) for preprocessing in self.each]
        return forms[0] if len(forms) == 1 else np.concatenate([form.reshape(1, -1, 3) for form in forms], axis=1)

    def parts(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """A batch of such inputs, channels first, as one batch [n, 3, size, size] for each form."""
        if len(self.each) == 1:
            return [inputs]
        pixels = [preprocessing.size**2 for preprocessing in self.each]
        return [
            part.reshape(len(inputs), 3, preprocessing.size, preprocessing.size)
            for part, preprocessing in zip(inputs.split(pixels, dim=3), self.each, strict=True)
        ]


def resized(image: np.ndarray, size: int, interpolation: str) -> np.ndarray:
    """uint8 RGB [H, W, 3] to uint8 RGB [size, size, 3], with filters that widen when they shrink (no aliasing).

    torch's filters are PIL's but for rounding: on photographs 0.5% of the values differ by 1 or 2 levels, or 11% by up
    to 5 in upright ones, where torch begins with the columns. They take a quarter of the time, and a thirtieth for 24
    megapixels. OpenCV's don't widen.
    """
    if interpolation not in ("bilinear", "bicubic"):
        return np.asarray(Image.fromarray(image).resize((size, size), FILTERS[interpolation]))
    pixels = _shared(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    small = interpolate(pixels, (size, size), mode=interpolation, antialias=True, align_corners=False)
    return small[0].permute(1, 2, 0).numpy()


def _shared(image: np.ndarray) -> torch.Tensor:
    """The same memory as a tensor, which nothing may write to: arrays of decoded images are read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(image)


def centre_square(image: np.ndarray) -> np.ndarray:
    """The largest square in the middle of an image [H, W, 3]."""
    side = min(image.shape[:2])
    return crop_at(image, side, side, (0.5, 0.5))


def pad_to(image: np.ndarray, size: int) -> np.ndarray:
    """Mirror the borders until both sides are at least `size`."""
    missing = [max(0, size - side) for side in image.shape[:2]]
    if not any(missing):
        return image
    widths = [(short // 2, short - short // 2) for short in missing]
    return np.pad(image, (*widths, (0, 0)), mode="symmetric")


def crop_at(image: np.ndarray, height: int, width: int, offset: tuple[float, float]) -> np.ndarray:
    """Cut out height x width; `offset` 0..1 goes from the top (left) to the bottom (right)."""
    top = round(offset[0] * (image.shape[0] - height))
    left = round(offset[1] * (image.shape[1] - width))
    return image[top : top + height, left : left + width]


class Augmentation:
    """Random changes of a training image at its native resolution; a function of the image and a seed alone."""

    def __init__(self, config: AugmentConfig) -> None:
        if config.quality_low > config.quality_high:
            raise UserError(
                f"augment.quality_low={config.quality_low} is above augment.quality_high={config.quality_high}"
            )
        self._config = config
        self._compose = _compose(config)

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """uint8 RGB [H, W, 3] to uint8 RGB [h, w, 3]. An image with a side under MIN_SIDE is left as it is."""
        rng = np.random.default_rng(seed)
        if min(image.shape[:2]) < MIN_SIDE:
            return image
        if rng.random() < self._config.crop:
            image = _random_crop(image, self._config.crop_scale, rng)
        # Not set_random_seed: it gives each transform the same seed, so that all of them apply or none does.
        self._compose.set_random_state(rng, random.Random(seed))
        return self._compose(image=np.ascontiguousarray(image))["image"]


def _random_crop(image: np.ndarray, smallest: float, rng: np.random.Generator) -> np.ndarray:
    """Keep a rectangle of `smallest`..1 of the area; sides vary in proportion by up to 4:3."""
    side = np.sqrt(rng.uniform(smallest, 1.0))
    stretch = np.sqrt(rng.uniform(3 / 4, 4 / 3))
    height = max(1, round(image.shape[0] * min(1.0, side * stretch)))
    width = max(1, round(image.shape[1] * min(1.0, side / stretch)))
    return crop_at(image, height, width, (rng.random(), rng.random()))


def _compose(config: AugmentConfig) -> Any:
    import albumentations as A
    import cv2

    quality = (config.quality_low, config.quality_high)
    shrink = (config.downscale_min, max(config.downscale_min, 0.95))
    candidates = [
        A.HorizontalFlip(p=config.flip),
        # Not BORDER_REFLECT_101: with it, OpenCV 5 never returns from an image that is one pixel wide.
        A.Rotate(limit=10, interpolation=cv2.INTER_CUBIC, border_mode=cv2.BORDER_REFLECT, p=config.rotate),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02, p=config.color),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=config.blur),
        A.Downscale(
            scale_range=shrink,
            interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
            p=config.downscale,
        ),
        A.GaussNoise(std_range=(0.01, 0.05), p=config.noise),
        # Encoding comes last, as it does when a picture is shared.
        A.ImageCompression(compression_type="jpeg", quality_range=quality, p=config.jpeg),
        A.ImageCompression(compression_type="webp", quality_range=quality, p=config.webp),
    ]
    return A.Compose([one for one in candidates if one.p > 0])
