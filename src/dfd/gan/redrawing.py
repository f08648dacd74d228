"""Networks that draw a picture again, each in the way of a kind of generator.

A picture and the same picture drawn again have the same face, scene, camera and kind of file, so that a detector learns
from them what drawing leaves behind and little else: a JPEG has been compressed once more (Rajan et al. 2024, 'Aligned
datasets improve detection of latent diffusion-generated images'; Chen et al. 2025, 'Dual data alignment'; written from
the papers). They take one ready autoencoder; these are several small ones that are trained on the photographs
themselves, since each way of making a picture larger leaves its own traces, and one way of drawing by removing noise.
What they draw is softer than a photograph; it is made as sharp again, lest a detector takes softness for forgery.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

WIDTH = 32  # channels at full size
GROUPS = 8  # of channels, in normalisation
WAIST_NOISE = 0.03  # deviation of the noise on what goes through the waist, values in -1..1
EDGES = 2.0  # weight of local contrast in the loss of autoencoders and upscalers
TRUNK = (64, 6)  # an upscaler's channels at the small size, and its residual layers
OCTAVES = (3, 5, 11)  # pixels: sides of the means between which the fine lies that is made as strong as it was
LOUDER = 4.0  # at most so many times, or so many times weaker
NOISE = (0.02, 0.6)  # deviations that the denoiser is trained on, for pixels in -1..1
START = (0.08, 0.35)  # those that redrawing begins at
STEPS = 5  # of denoising
COARSE = 8  # pixels: what is larger than this keeps the original's colours
STRENGTH = (0.5, 1.0)  # share of the difference that is kept


class Redrawer(nn.Module, ABC):
    """Draws images in -1..1, [N, 3, H, W], again. `multiple`: what H and W must be multiples of."""

    multiple: ClassVar[int] = 8

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """What training makes small, a scalar: mean absolute difference of pixels, and of their local contrast."""
        drawn = self.draw(images).float()
        return (drawn - images).abs().mean() + EDGES * (_contrast(drawn) - _contrast(images)).abs().mean()

    @abstractmethod
    def draw(self, images: torch.Tensor) -> torch.Tensor:
        """The images, drawn again. Random, from torch's generator."""


class Autoencoder(Redrawer):
    """Through a waist of `waist` channels at a `factor`-th of the size, and up again by one of the `UPWARD` ways.

    The average of each cell goes around the waist, so that colours need not be learnt.
    """

    def __init__(self, upward: str, factor: int, waist: int) -> None:
        super().__init__()
        self.factor = factor
        widths = [WIDTH * min(2**level, 4) for level in range(int(math.log2(factor)) + 1)]
        down: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1)]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            down += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), _Residual(wide)]
        up: list[nn.Module] = [nn.Conv2d(waist + 3, widths[-1], 3, padding=1), _Residual(widths[-1])]
        for wide, narrow in zip(widths[::-1], widths[::-1][1:], strict=False):
            up += [UPWARD[upward](wide, narrow), *([_Residual(narrow)] if narrow > WIDTH else [])]
        self.down = nn.Sequential(*down, nn.Conv2d(widths[-1], waist, 1))
        self.up = nn.Sequential(*up, nn.SiLU(), nn.Conv2d(WIDTH, 3, 3, padding=1))

    def draw(self, images: torch.Tensor) -> torch.Tensor:
        """See `Redrawer`."""
        coarse = avg_pool2d(images, self.factor)
        waist = torch.tanh(self.down(images))
        waist = waist + WAIST_NOISE * torch.randn_like(waist)
        smooth = interpolate(coarse, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.up(torch.cat([waist, coarse], dim=1)) + smooth


class Upscaler(Redrawer):
    """Draws a picture from itself made `factor` times smaller, a power of 2: all that is fine is made up.

    It works at the small size, which is cheap, and enlarges at the end (Shi et al. 2016; Lim et al. 2017).
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        width, layers = TRUNK
        doublings = int(math.log2(factor)) - 1
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            *[_Residual(width) for _ in range(layers)],
            *[part for _ in range(doublings) for part in (_nearest(width, width), nn.SiLU())],
            _nearest(width, WIDTH),
            nn.SiLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(WIDTH, 3, 3, padding=1),
        )

    def draw(self, images: torch.Tensor) -> torch.Tensor:
        """See `Redrawer`. Without chance."""
        small = interpolate(images, scale_factor=1 / self.factor, mode="bicubic", align_corners=False, antialias=True)
        smooth = interpolate(small, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.body(small) + smooth


class Denoiser(Redrawer):
    """Adds noise and takes it away again in a few steps, as the last steps of a diffusion model do.

    A small U-Net that says which noise is in a picture (Ho et al. 2020), taken away without chance (Song et al.
    2021).
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(4, WIDTH, 3, padding=1), _Residual(WIDTH))
        self.halve = nn.Sequential(nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1), _Residual(2 * WIDTH))
        self.quarter = nn.Sequential(
            nn.Conv2d(2 * WIDTH, 4 * WIDTH, 4, stride=2, padding=1), _Residual(4 * WIDTH), _Residual(4 * WIDTH)
        )
        self.back_to_half, self.at_half = _nearest(4 * WIDTH, 2 * WIDTH), _Residual(2 * WIDTH)
        self.back_to_full, self.at_full = _nearest(2 * WIDTH, WIDTH), _Residual(WIDTH)
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(), nn.Conv2d(WIDTH, 3, 3, padding=1))

    def noise_in(self, noisy: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
        """Noise of deviation 1 in images that hold it `deviation` [N, 1, 1, 1] times."""
        level = (deviation.log() / 4).expand(-1, 1, *noisy.shape[2:])
        full = self.enter(torch.cat([noisy / (1 + deviation**2).sqrt(), level], dim=1))
        half = self.halve(full)
        half = self.at_half(self.back_to_half(self.quarter(half)) + half)
        return self.leave(self.at_full(self.back_to_full(half) + full)).float()

    def draw(self, images: torch.Tensor) -> torch.Tensor:
        """See `Redrawer`. Deterministic steps (DDIM) from a deviation in `START` to 0."""
        first = _between(START, len(images), images)
        drawn = images + first * torch.randn_like(images)
        levels = [first * (NOISE[0] / first) ** (step / STEPS) for step in range(STEPS)]
        for level, following in zip(levels, [*levels[1:], torch.zeros_like(first)], strict=True):
            drawn = drawn + (following - level) * self.noise_in(drawn, level)
        return drawn

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the noise."""
        deviation, noise = _between(NOISE, len(images), images), torch.randn_like(images)
        return (self.noise_in(images + deviation * noise, deviation) - noise).square().mean()


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*[part for _ in range(2) for part in _layer(channels)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.body(images)


def _layer(channels: int) -> list[nn.Module]:
    return [nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]


def _nearest(wide: int, narrow: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(wide, narrow, 3, padding=1))


def _transposed(wide: int, narrow: int) -> nn.Module:
    return nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)


def _shuffle(wide: int, narrow: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(wide, 4 * narrow, 3, padding=1), nn.PixelShuffle(2))


UPWARD: dict[str, Any] = {
    "nearest": _nearest,
    "transposed": _transposed,
    "shuffle": _shuffle,
}
UPSCALED = {"upscaled2": 2, "upscaled4": 4, "upscaled8": 8}  # times
AUTOENCODERS = {  # way up, factor, channels of the waist
    "nearest": ("nearest", 4, 16),
    "latent": ("nearest", 8, 16),  # as those that latent diffusion works in
    "shuffle": ("shuffle", 4, 16),
    "transposed": ("transposed", 2, 2),
}


def redrawer(family: str) -> Redrawer:
    """A network of a family, its weights random from torch's generator."""
    if family in UPSCALED:
        return Upscaler(UPSCALED[family])
    return Denoiser() if family == "denoised" else Autoencoder(*AUTOENCODERS[family])


def redrawn(network: Redrawer, images: torch.Tensor) -> torch.Tensor:
    """Images in -1..1, [N, 3, H, W] of any size, drawn again: alike in the large, of another making in the small.

    As sharp as they were. Random, from torch's generator.
    """
    height, width = images.shape[2:]
    missing = (-width % network.multiple, -height % network.multiple)
    padded = nn.functional.pad(images, (0, missing[0], 0, missing[1]), mode="replicate")
    difference = network.draw(padded).float()[..., :height, :width] - images
    difference = difference - _coarse(difference)
    mixed = images + _between(STRENGTH, len(images), images) * difference
    return _as_sharp(mixed, images).clamp(-1, 1)


def _as_sharp(drawn: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """`drawn` with each octave of what is fine as strong, on the whole, as in `images`."""
    *fine, rest = _octaves(drawn)
    wanted = [_strength(octave) for octave in _octaves(images)]
    for octave, strength in zip(fine, wanted, strict=False):
        rest = rest + octave * (strength / _strength(octave)).clamp(1 / LOUDER, LOUDER)
    return rest


def _octaves(images: torch.Tensor) -> list[torch.Tensor]:
    """From the finest down, and what is left; they add up to the images."""
    found = []
    for side in OCTAVES:
        smooth = avg_pool2d(images, side, stride=1, padding=side // 2, count_include_pad=False)
        found.append(images - smooth)
        images = smooth
    return [*found, images]


def _strength(octave: torch.Tensor) -> torch.Tensor:
    """[N, 1, 1, 1], never 0."""
    return octave.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-4)


def _coarse(images: torch.Tensor) -> torch.Tensor:
    size = images.shape[2:]
    cells = [max(1, side // COARSE) for side in size]
    return interpolate(interpolate(images, cells, mode="area"), size, mode="bilinear", align_corners=False)


def _contrast(images: torch.Tensor) -> torch.Tensor:
    return images - avg_pool2d(images, 3, stride=1, padding=1)


def _between(bounds: tuple[float, float], number: int, like: torch.Tensor) -> torch.Tensor:
    """[number, 1, 1, 1], evenly spread in their logarithm."""
    low, high = (math.log(bound) for bound in bounds)
    return torch.exp(torch.empty(number, 1, 1, 1, device=like.device).uniform_(low, high))
