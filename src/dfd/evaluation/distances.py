"""All figures that compare generated images with real ones, from their features alone."""

from typing import Any

import numpy as np

from dfd.evaluation.frechet import Features, frechet_figure
from dfd.evaluation.intervals import LEVEL
from dfd.evaluation.kid import kid_figure
from dfd.evaluation.nearest import diversity_figure


def measure(real: Features, fake: Features, subsets: int, subset_size: int, seed: int) -> dict[str, Any]:
    """Figures of real [n, d] and fake [m, d] features, but for those of `memorisation`.

    `floor`: what two halves of the reals come to, each of n rows, and `like`: as many reals and samples. FD grows as
    rows get fewer, so only these two can be compared.
    """
    generator = np.random.default_rng([seed, 1])
    size = min(len(real) // 2, len(fake))
    order = generator.permutation(len(real))
    first, second = real[order[:size]], real[order[size : 2 * size]]
    samples = fake[generator.permutation(len(fake))[:size]]
    return {
        "n_real": len(real),
        "n_fake": len(fake),
        "width": real.shape[1],
        "level": LEVEL,
        "fd": frechet_figure(real, fake),
        "kid": kid_figure(real, fake, subsets, subset_size, seed),
        "floor": _pair(first, second, subsets, subset_size, seed),
        "like": _pair(first, samples, subsets, subset_size, seed),
        "diversity": diversity_figure(real, fake, seed),
    }


def _pair(first: Features, second: Features, subsets: int, subset_size: int, seed: int) -> dict[str, Any]:
    if len(first) < 2:
        reason = f"half of the reals are {len(first)} image"
        none = {"value": None, "low": None, "high": None, "n": len(second), "n_real": len(first), "reason": reason}
        return {"fd": none, "kid": none}
    return {"fd": frechet_figure(first, second), "kid": kid_figure(first, second, subsets, subset_size, seed)}
