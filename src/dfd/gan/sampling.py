"""Images of a generator, each a function of (seed, number): the same for any count, and for any start."""

from collections.abc import Iterator

import numpy as np
import torch

from dfd.gan.generator import Generator
from dfd.runtime import seed_from

BLOCK = 32  # images are always made this many at a time: noise is drawn for a block, and must not depend on the count


def draw(
    generator: Generator, n: int, seed: int, truncation: float, device: torch.device, start: int = 0
) -> Iterator[np.ndarray]:
    """Images `start` to `start + n` of a seed, in parts of up to BLOCK: uint8 RGB [b, R, R, 3].

    Each image has noise of its own: one pattern on all of them would be a mark that no other use of the generator
    leaves. Leaves torch's random state as it was.
    """
    generator.eval()
    for block in range(start // BLOCK, -(-(start + n) // BLOCK)):
        first = block * BLOCK
        part = slice(max(start - first, 0), min(start + n - first, BLOCK))
        yield to_pixels(_block(generator, seed, block, truncation, device)[part])


def latents(n: int, width: int, seed: int) -> torch.Tensor:
    """z [n, width] of a seed, on the CPU: the same on every device."""
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """Float [N, 3, R, R], -1..1 (what lies outside is cut off), to uint8 [N, R, R, 3]."""
    levels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_images(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, R, R] to float -1..1."""
    return pixels.float() / 127.5 - 1


@torch.inference_mode()
def _block(generator: Generator, seed: int, block: int, truncation: float, device: torch.device) -> torch.Tensor:
    number = seed_from(seed, block)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(number)
        z = latents(BLOCK, generator.shape.latent, number).to(device)
        return generator(z, truncation=truncation, noise="random")
