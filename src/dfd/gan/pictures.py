"""What a person looks at: grids of samples, and strips that go from one to the next. Always of the same latents."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dfd.files import replacing
from dfd.gan.generator import Generator
from dfd.gan.sampling import latents, to_pixels

GAP = 1  # pixels between images
COLUMNS = 8  # of a grid of samples
ENDS, STEPS = 5, 4  # a strip goes through ENDS images, with STEPS steps from one to the next
ROWS = 3  # strips in a picture


def grid(images: np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """Images uint8 [N, H, W, 3] as one picture, row by row; missing ones at the end stay white."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        picture[top : top + height, left : left + width] = image
    return picture


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write uint8 [H, W, 3] as PNG, atomically."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, "png")


@torch.inference_mode()
def samples(generator: Generator, n: int, seed: int, device: torch.device) -> np.ndarray:
    """The first images of a seed, with the generator's fixed noise: uint8 [n, R, R, 3]."""
    z = latents(n, generator.shape.latent, seed).to(device)
    return np.concatenate([to_pixels(generator(part, noise="fixed")) for part in z.split(32)])


@torch.inference_mode()
def strips(generator: Generator, seed: int, device: torch.device) -> np.ndarray:
    """ROWS paths through w, each along straight lines between ENDS images and back to the first."""
    w = generator.map(latents(ROWS * ENDS, generator.shape.latent, seed).to(device)).view(ROWS, ENDS, -1)
    after, shares = w.roll(-1, dims=1), torch.arange(STEPS, device=device) / STEPS
    path = torch.lerp(w[:, :, None], after[:, :, None], shares.view(1, 1, -1, 1))
    parts = path.reshape(-1, w.shape[-1]).split(32)
    return grid(np.concatenate([to_pixels(generator.synthesize(part, noise="fixed")) for part in parts]), ENDS * STEPS)
