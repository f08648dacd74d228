"""Resampling of images for augmentation: affine moves without aliasing, and gains of frequency bands."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

LOBES = 4  # of the Lanczos kernel, to each side
MARGIN = 2 * LOBES - 1  # samples of the doubled grid that halving it reads beyond the frame


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Matrices [N, 3, 3] on (x, y, 1) that multiply x and y by factors [N]; coordinates are -1..1 across the image."""
    matrix = identity(x)
    matrix[:, 0, 0], matrix[:, 1, 1] = x, y
    return matrix


def rotation(angle: Tensor) -> Tensor:
    """Matrices [N, 3, 3] that rotate by `angle` [N] in radians."""
    matrix = scaling(angle.cos(), angle.cos())
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    return matrix


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Matrices [N, 3, 3] that shift by [N] of the side, which is 2 in coordinates."""
    matrix = identity(x)
    matrix[:, 0, 2], matrix[:, 1, 2] = 2 * x, 2 * y
    return matrix


def move(images: Tensor, blit: Tensor, change: Tensor | None) -> Tensor:
    """Move pixels: the place p of the result shows what `images` [N, 3, R, R] have at blit @ change @ p.

    Both are matrices [N, 3, 3]. They map from the result to the image, so they are the inverses of what one sees, in
    the reverse order; as all families of changes hold every inverse with the same probability, they are drawn as
    inverses in the first place. Beyond its edges the image is mirrored. Where `change` is the identity, or for None,
    pixels are copied; elsewhere one resampling does it all.
    """
    copied = _sample(images, blit, images.shape[-1], 0, "nearest")
    if change is None:
        return copied
    changed = (change != identity(change)).flatten(1).any(1)
    return torch.where(changed[:, None, None, None], resample(images, blit @ change), copied)


def resample(images: Tensor, matrix: Tensor) -> Tensor:
    """`images` [N, 3, R, R] at matrix @ place [N, 3, 3]: interpolated to twice the resolution, sampled, filtered.

    The doubled resolution keeps bilinear sampling sharp and leaves room for the frequencies of images that shrink,
    by up to a half, which the last filter removes.
    """
    size = images.shape[-1]
    up, down = _resolution_filters(size, images.dtype, images.device)
    fine = _sample(up @ images @ up.mT, matrix, 2 * size, MARGIN, "bilinear")
    return down @ fine @ down.mT


def weigh_bands(images: Tensor, gains: Tensor) -> Tensor:
    """Multiply the four octave bands of frequencies, across and down, of `images` [N, 3, R, R] by `gains` [N, 4]."""
    bands = _bands(images.shape[-1], images.dtype, images.device)
    # The bands add up to the image, so 1 has no effect; as a difference it also has none on bits.
    change = torch.einsum("nb,bij->nij", gains - 1, bands)[:, None]
    images = images + images @ change.mT
    return images + change @ images


def identity(like: Tensor) -> Tensor:
    """Matrices [N, 3, 3] that change nothing, N as in `like`."""
    return torch.eye(3, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)


def _sample(images: Tensor, matrix: Tensor, samples: int, margin: int, mode: str) -> Tensor:
    """Values at matrix @ place, for a grid of `samples` a side over the frame and `margin` beyond each edge."""
    places = torch.arange(-margin, samples + margin, dtype=images.dtype, device=images.device)
    places = (2 * places + 1) / samples - 1
    # Sums of products, as TF32 matrix products would move the places by a share of a pixel.
    x, y, shift = matrix[:, None, None, :2].unbind(-1)
    grid = x * places[None, None, :, None] + y * places[None, :, None, None] + shift
    return functional.grid_sample(images, grid, mode=mode, padding_mode="reflection", align_corners=False)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # kept for training, whoever asks first
def _resolution_filters(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices that double the samples of a line, [2 size, size], and that halve those of the line with its margins."""
    fine = (torch.arange(2 * size, dtype=torch.float64) - 0.5) / 2
    coarse = 2 * torch.arange(size, dtype=torch.float64) + 0.5 + MARGIN
    up, down = _lanczos(fine, 1, size), _lanczos(coarse, 2, 2 * size + 2 * MARGIN)
    return up.to(device, dtype), down.to(device, dtype)


@lru_cache(maxsize=8)
def _bands(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Matrices [4, size, size] that give the bands of a line, in units of its highest frequency: below 1/8, to 1/4,
    to 1/2, and above. They sum to the identity.
    """
    samples = torch.arange(size, dtype=torch.float64)
    low = [_lanczos(samples, stretch, size) for stretch in (8, 4, 2)] + [torch.eye(size, dtype=torch.float64)]
    return torch.stack([low[0]] + [high - below for below, high in zip(low, low[1:], strict=False)]).to(device, dtype)


def _lanczos(centres: Tensor, stretch: int, size: int) -> Tensor:
    """Matrix [M, size] that gives a line of `size` samples, mirrored at its ends, at `centres` [M]; frequencies above
    1 / stretch of its highest one are weakened.
    """
    reach = LOBES * stretch
    samples = centres.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    offsets = (samples - centres[:, None]) / stretch
    weights = torch.sinc(offsets) * torch.sinc(offsets / LOBES) * (offsets.abs() < LOBES)
    mirrored = samples.remainder(2 * size)
    mirrored = torch.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)
    matrix = torch.zeros(len(centres), size, dtype=centres.dtype)
    return matrix.scatter_add_(1, mirrored, weights / weights.sum(1, keepdim=True))
