"""SHAP values of superpixels: a fair share of the logit for each of them.

Kernel SHAP (Lundberg & Lee 2017): which regions stay and which are blurred is drawn at random, and a linear model is
fitted whose coefficients are Shapley values. Regions and not pixels: there are too many of those to draw from, and
gradients at pixels, which other forms of SHAP take, look like noise.

All numbers of regions are drawn alike, and the fit weighs them (Musco & Witter 2025, Leverage SHAP); each draw comes
with its opposite (Covert & Lee 2021); and a little ridge pulls regions of which the draws tell little towards equal
shares. On four pictures of 49 regions (efficientnet_lite0, 200 draws, 3 seeds each) the three took the mean squared
distance from the values of 3,000 draws from 1.97 to 0.50 of their variance, against paired draws by the Shapley kernel.
"""

import numpy as np

from dfd.explain.network import Subject
from dfd.explain.superpixels import logits_of, superpixels

RIDGE = 0.1  # of the mean diagonal


def shap(subject: Subject, seed: int) -> np.ndarray:
    """float32 [S, S]: each pixel its region's share; the shares add up to the logit less that of the blurred image."""
    regions = superpixels(subject.pixels)
    count = int(regions.max()) + 1
    present = coalitions(count, subject.samples, np.random.default_rng(seed))
    ends = np.array([[False] * count, [True] * count])
    nothing, everything, *logits = logits_of(subject, regions, np.concatenate([ends, present]))
    return shares(present, np.array(logits), nothing, everything)[regions].astype(np.float32)


def coalitions(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """bool [draws, count] (one more if draws is odd): random sets, neither empty nor full, each before its opposite."""
    if count < 2:
        return np.ones((0, count), bool)
    sizes = rng.integers(1, count, size=-(-draws // 2))
    ranks = rng.random((len(sizes), count)).argsort(axis=1)
    half = ranks < sizes[:, None]
    return np.stack([half, ~half], axis=1).reshape(-1, count)


def shares(
    present: np.ndarray, values: np.ndarray, nothing: float, everything: float, ridge: float = RIDGE
) -> np.ndarray:
    """Shapley values float64 [M] from values [n] of sets [n, M], of the empty and of the full one.

    Weighted least squares, under the constraint that the shares sum to `everything` - `nothing`.
    """
    count = present.shape[1]
    gain = everything - nothing
    if len(present) == 0:
        return np.full(count, gain / count)
    sets = present.astype(np.float64)
    sizes = sets.sum(axis=1)
    weights = 1 / (sizes * (count - sizes))  # the Shapley kernel over the chance to be drawn
    weighted = sets * (weights / weights.sum())[:, None]
    products = weighted.T @ sets
    products += ridge * np.trace(products) / count * np.eye(count)
    free = np.linalg.solve(products, weighted.T @ (values - nothing))
    ones = np.linalg.solve(products, np.ones(count))
    return free - ones * (free.sum() - gain) / ones.sum()
