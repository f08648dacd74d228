"""A toy distribution for generators: one coloured shape in the middle of a grey square."""

import numpy as np


def shapes(n: int, seed: int, side: int = 32) -> np.ndarray:
    """Discs and squares of red, green or blue, whose place, size and shade vary; the upper half of the ground is the
    lighter one in every image. uint8 [n, side, side, 3]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] + 0.5
    images = np.empty((n, side, side, 3))
    for image in images:
        y, x = rng.uniform(0.4, 0.6, 2) * side
        radius = rng.uniform(0.2, 0.32) * side
        apart = np.hypot(rows - y, columns - x) if rng.random() < 0.5 else np.maximum(abs(rows - y), abs(columns - x))
        color = np.full(3, 40.0)
        color[rng.integers(3)] = rng.uniform(160, 240)
        image[:] = np.where(rows < side / 2, 190, 110)[..., None]
        image[apart < radius] = color
    return (images + rng.normal(0, 3, images.shape)).clip(0, 255).astype(np.uint8)
