"""Changes of colour as 4x4 matrices on (red, green, blue, 1), one an image: Karras et al. 2020 (ADA), appendix B."""

import torch
from torch import Tensor

LUMA = 3**-0.5  # each component of the unit vector along the greys


def brightness(shift: Tensor) -> Tensor:
    """Add `shift` [N] to every channel; returns [N, 4, 4]."""
    matrix = _identity(shift)
    matrix[:, :3, 3] = shift[:, None]
    return matrix


def contrast(factor: Tensor) -> Tensor:
    """Multiply every channel by `factor` [N]; returns [N, 4, 4]. The middle grey, 0, stays."""
    matrix = _identity(factor)
    matrix[:, :3, :3] *= factor[:, None, None]
    return matrix


def luma_flip(flip: Tensor) -> Tensor:
    """Where `flip` [N] is 1, turn light into dark and keep the chroma; where 0, nothing. Returns [N, 4, 4]."""
    return _identity(flip) - 2 * flip[:, None, None] * _luma_axis(flip)


def hue(angle: Tensor) -> Tensor:
    """Rotate by `angle` [N] radians about the axis of greys (Rodrigues' formula); returns [N, 4, 4]."""
    return saturation(angle.cos()) + angle.sin()[:, None, None] * _luma_cross(angle)


def saturation(factor: Tensor) -> Tensor:
    """Multiply the chroma, the distance from the greys, by `factor` [N]; returns [N, 4, 4]."""
    return contrast(factor) + (1 - factor)[:, None, None] * _luma_axis(factor)


def transform(images: Tensor, matrix: Tensor) -> Tensor:
    """Apply `matrix` [N, 4, 4] to every pixel of `images` [N, 3, H, W]."""
    pixels = images.flatten(2)
    # Only the difference from the identity is multiplied: where there is none, TF32 products change no bit.
    change = matrix[:, :3, :3] - torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    return torch.baddbmm(pixels + matrix[:, :3, 3:], change, pixels).view_as(images)


def _identity(like: Tensor) -> Tensor:
    return torch.eye(4, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)


def _luma_axis(like: Tensor) -> Tensor:
    """Projection onto the axis of greys, [4, 4]."""
    projection = torch.zeros(4, 4, dtype=like.dtype, device=like.device)
    projection[:3, :3] = 1 / 3
    return projection


def _luma_cross(like: Tensor) -> Tensor:
    """Cross product with the unit vector along the greys, [4, 4]."""
    cyclic = torch.eye(3, dtype=like.dtype, device=like.device).roll(1, dims=0)
    cross = torch.zeros(4, 4, dtype=like.dtype, device=like.device)
    cross[:3, :3] = LUMA * (cyclic - cyclic.T)
    return cross
