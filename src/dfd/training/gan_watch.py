"""What is measured and drawn at each tick of a GAN's training."""

import math
from pathlib import Path

import numpy as np
import torch

from dfd.config import FidConfig
from dfd.evaluation.frechet import frechet_distance
from dfd.evaluation.kid import kid_figure
from dfd.evaluation.nearest import diversity_figure
from dfd.gan import pictures
from dfd.gan.generator import Generator
from dfd.gan.sampling import draw
from dfd.inference.extractors import Extractor

FOLDER = "pictures"
SHOWN = 48  # samples in a grid
MOST_REALS = 10_000  # real images compared with; more would cost time at the start and tell little more


class Watch:
    """Compares fresh samples with the real images, and draws the same samples and strips each time.

    `label` is what a distance is called: 'FID', or 'FD(network)'; `n` and `n_real` the numbers of samples a tick and of
    real images compared with. `pixels`: the real images, uint8 [N, R, R, 3]. A new seed for each tick would make the
    figures jump; the samples are of one seed, which `dfd eval --fid` does not use.
    """

    def __init__(
        self,
        extractor: Extractor,
        pixels: np.ndarray,
        config: FidConfig,
        seed: int,
        run: Path,
        device: torch.device,
    ) -> None:
        self.label = extractor.label
        self._extractor, self._config, self._seed = extractor, config, seed
        self._folder, self._device = run / FOLDER, device
        rows = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:MOST_REALS])
        self._real = extractor.features_of_arrays(pixels[rows], config.batch_size)
        self.n, self.n_real = config.n or max(1000, len(rows)), len(rows)
        pictures.save_picture(self._folder / "reals.png", pictures.grid(pixels[rows[:SHOWN]]))

    def __call__(self, generator: Generator, kimg: float) -> dict[str, float]:
        """`fd`, `kid` and `diversity` of the generator's samples; draws its pictures."""
        name = f"{round(kimg * 1000):09}"
        grid = pictures.grid(pictures.samples(generator, SHOWN, self._seed, self._device))
        pictures.save_picture(self._folder / f"samples-{name}.png", grid)
        pictures.save_picture(self._folder / f"strips-{name}.png", pictures.strips(generator, self._seed, self._device))
        parts = draw(generator, self.n, self._seed, self._config.trunc, self._device)
        fake = np.concatenate([self._extractor.features_of_arrays(part, self._config.batch_size) for part in parts])
        kid = kid_figure(self._real, fake, self._config.subsets, self._config.subset_size, self._seed % 2**32)
        return {
            "fd": frechet_distance(self._real, fake),
            "kid": _number(kid["value"]),
            "diversity": _number(diversity_figure(self._real, fake, self._seed)["value"]),
        }


def _number(value: float | None) -> float:
    """NaN for a figure that so few images cannot tell."""
    return math.nan if value is None else value
