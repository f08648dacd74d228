"""Random changes of images before the discriminator: the pipeline of Karras et al. 2020 (ADA), appendix B."""

import math

import torch
from torch import Tensor

from dfd.config import AdaConfig
from dfd.gan import color
from dfd.gan.warp import identity, move, rotation, scaling, translation, weigh_bands

SHIFT = 0.125  # of the side: bound of whole-pixel shifts, standard deviation of fractional ones
SCALE = 0.2 * math.log(2)  # standard deviation of log scale
BRIGHTNESS = 0.2  # standard deviation, of pixels in -1..1
CONTRAST = 0.5 * math.log(2)  # standard deviation of log contrast
SATURATION = math.log(2)  # of log saturation
GAIN = math.log(2)  # of the log gain of a frequency band
NOISE = 0.1  # standard deviation of the noise's standard deviation
CUTOUT = 0.5  # of the side
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # what the paper takes for the bands' shares in natural images, low to high


class Augmentation:
    """Changes images at random: each change of the categories that `config` has on, with probability p, each its own.

    Differentiable, and a function of the global random generator's state on the images' device. Computes in fp32, or
    fp64 for fp64 images. Nothing waits for the device.

    A change does not leak into what the generator learns if its effect on the distribution of images can be undone:
    then only equal distributions look equal after it (section 3 of the paper). Normal and log-normal changes
    (brightness, contrast, saturation, scaling, stretching, fractional shifts, filter, noise) can be undone at any p;
    mirroring, quarter turns, rotation, luma flip, hue and cutout at any p below 1. Whole-pixel shifts can be for sure
    while p is below 1/2, as can anything that leaves most images alone, and so can the loss of what is moved out of
    the frame or out of the range of pixels.
    """

    def __init__(self, config: AdaConfig) -> None:
        self.config = config

    def __call__(self, images: Tensor, p: float) -> Tensor:
        """The changed images [N, 3, R, R]; p = 0 returns them as they are.

        Pixels are about -1..1. The result is clamped to that range, widened to an image's own if that is larger. Images
        for which no geometric change was drawn are not resampled.
        """
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        if p <= 0:
            return images
        with torch.autocast(images.device.type, enabled=False):
            low = images.detach().amin((1, 2, 3), keepdim=True).clamp(max=-1)
            high = images.detach().amax((1, 2, 3), keepdim=True).clamp(min=1)
            return self._changed(images, Draw(images, p)).clamp(low, high)

    def _changed(self, images: Tensor, draw: "Draw") -> Tensor:
        config = self.config
        if config.blit or config.geometry:
            blit = blits(draw, images.shape[-1]) if config.blit else identity(draw.like)
            images = move(images, blit, geometry(draw) if config.geometry else None)
        if config.color:
            images = color.transform(images, colors(draw))
        if config.filter:
            images = weigh_bands(images, band_gains(draw))
        if config.noise:
            images = images + draw.normal(NOISE)[:, None, None, None] * torch.randn_like(images)
        return cut_out(images, draw) if config.cutout else images


class Draw:
    """Parameters of changes, one an image, [N]: random with probability p, else neutral, which changes nothing."""

    def __init__(self, images: Tensor, p: float) -> None:
        self.like = images.new_empty(len(images))
        self.p = p

    def chance(self, p: float | None = None) -> Tensor:
        """Whether each image is changed: True with probability `p`, by default this object's."""
        return torch.rand_like(self.like) < (self.p if p is None else p)

    def uniform(self, bound: float, p: float | None = None) -> Tensor:
        """Uniform in -bound..bound, neutral 0."""
        return (torch.rand_like(self.like) * 2 - 1) * bound * self.chance(p)

    def integer(self, count: int) -> Tensor:
        """A whole number from 0 to count - 1, neutral 0."""
        return (torch.rand_like(self.like) * count).floor() * self.chance()

    def normal(self, deviation: float) -> Tensor:
        """Normal around 0, neutral 0."""
        return torch.randn_like(self.like) * deviation * self.chance()

    def factor(self, deviation: float) -> Tensor:
        """Log-normal around 1, neutral 1; `deviation` is that of the natural logarithm."""
        return self.normal(deviation).exp()


def blits(draw: Draw, size: int) -> Tensor:
    """Mirror, quarter turns and whole-pixel shifts of images with `size` pixels a side: matrices as for `move`."""
    mirror = scaling(1 - 2 * draw.integer(2), torch.ones_like(draw.like))
    turn = rotation(draw.integer(4) * (math.pi / 2)).round()
    chance = draw.chance()
    x, y = ((torch.rand_like(draw.like) * 2 - 1) * SHIFT * chance for _ in range(2))
    return mirror @ turn @ translation((x * size).round() / size, (y * size).round() / size)


def geometry(draw: Draw) -> Tensor:
    """Scaling, rotation, stretching and fractional shifts: matrices as for `move`.

    Exactly the identity where none is drawn. Rotations come before and after stretching, so that it goes in any
    direction; at least one of the two is drawn with probability p.
    """
    either = 1 - math.sqrt(1 - draw.p)
    zoom, stretch = draw.factor(SCALE), draw.factor(SCALE)
    first, last = (rotation(draw.uniform(math.pi, either)) for _ in range(2))
    chance = draw.chance()
    x, y = (torch.randn_like(draw.like) * SHIFT * chance for _ in range(2))
    return scaling(zoom, zoom) @ first @ scaling(stretch, 1 / stretch) @ last @ translation(x, y)


def colors(draw: Draw) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation, in this order: matrices [N, 4, 4] for `color.transform`."""
    matrix = color.contrast(draw.factor(CONTRAST)) @ color.brightness(draw.normal(BRIGHTNESS))
    matrix = color.luma_flip(draw.integer(2)) @ matrix
    matrix = color.hue(draw.uniform(math.pi)) @ matrix
    return color.saturation(draw.factor(SATURATION)) @ matrix


def band_gains(draw: Draw) -> Tensor:
    """Gains of the four frequency bands, [N, 4], low to high. They leave the power of a natural image as it is."""
    gains = torch.ones_like(draw.like)[:, None].repeat(1, len(POWER))
    for band, share in enumerate(POWER):
        gain = draw.factor(GAIN)
        gains[:, band] *= gain
        gains = gains / (1 + share * (gain.square() - 1)).sqrt()[:, None]
    return gains


def cut_out(images: Tensor, draw: Draw) -> Tensor:
    """Grey out a rectangle of half the sides, around a uniform place, of `images` [N, 3, R, R]."""
    size = images.shape[-1]
    pixels = (torch.arange(size, dtype=images.dtype, device=images.device) + 0.5) / size
    x, y = ((pixels - torch.rand_like(draw.like)[:, None]).abs() < CUTOUT / 2 for _ in range(2))
    inside = draw.chance()[:, None, None] & y[:, :, None] & x[:, None, :]
    return images.masked_fill(inside[:, None], 0)
