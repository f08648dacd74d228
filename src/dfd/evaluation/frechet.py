"""The Fréchet distance between two sets of features, and its interval.

FD = |m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^½, with the means m and the covariances S of the sets: the squared
2-Wasserstein distance of two Gaussians (Dowson & Landau 1982; for Inception features the FID of Heusel et al. 2017).

**The root.** With S = R R^T, tr (S1 S2)^½ is the sum of the singular values of R1^T R2. A factor R has as many columns
as there are rows or features, whichever is less: no root of a singular matrix is taken, and few rows cost little.

**The interval** is the infinitesimal jackknife (Jaeckel 1972), the spread that a bootstrap comes to, from derivatives
in place of resamples. A row x of the first set moves the distance by 2 (m1 - m2) z + |z|² - z^T T z, z = x - m1, where
T is the optimal transport map from the first Gaussian to the second. A bootstrap's percentiles would not do: copies
of rows in a resample leave fewer different ones, and few rows make the distance larger.

What it covers is the mean of such distances at this number of rows, which is above the distance of the populations.
In simulations of 100 to 400 skewed rows of 16 to 256 features it held that mean 93 to 98 times in 100; of 60 rows, 91
times. Standard errors were 1.1 to 1.4 times the true spread, and up to 1.8 times for two sets of one population.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, svd, svdvals
from scipy.stats import norm

from dfd.evaluation.figures import Floats
from dfd.evaluation.intervals import LEVEL

Features = NDArray[np.floating[Any]]

AT_ONCE = 4096  # rows held in double precision at once
RANK = 1e-10  # singular values below this share of the largest are rounding errors
METHOD = "infinitesimal jackknife"


@dataclass(frozen=True)
class _Gaussian:
    """Mean [d] and factor R [d, k] of the covariance R R^T."""

    mean: Floats
    factor: Floats


def frechet_distance(real: Features, fake: Features) -> float:
    """The Fréchet distance of features [n, d] and [m, d], n and m at least 2."""
    first, second = _gaussian(real), _gaussian(fake)
    return _distance(first, second, svdvals(first.factor.T @ second.factor))


def frechet_figure(real: Features, fake: Features) -> dict[str, Any]:
    """The distance of real [n, d] and fake [m, d] features as a figure: value, low, high, n, n_real, method."""
    first, second = _gaussian(real), _gaussian(fake)
    left, roots, right = svd(first.factor.T @ second.factor, full_matrices=False)
    value = _distance(first, second, roots)
    kept = roots > RANK * roots[0]
    scale = np.sqrt(roots[kept])
    between = first.mean - second.mean
    moved_by_real = _influence(real, first.mean, 2 * between, second.factor @ right[kept].T / scale)
    moved_by_fake = _influence(fake, second.mean, -2 * between, first.factor @ left[:, kept] / scale)
    error = sqrt(moved_by_real.var(ddof=1) / len(real) + moved_by_fake.var(ddof=1) / len(fake))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    return {
        "value": value,
        "low": max(0.0, value - half),
        "high": value + half,
        "n": len(fake),
        "n_real": len(real),
        "method": METHOD,
    }


def _gaussian(features: Features) -> _Gaussian:
    if len(features) < 2:
        raise ValueError(f"{len(features)} row(s) have no covariance; accepted are 2 or more")
    mean = features.mean(axis=0, dtype=np.float64)
    rows, width = features.shape
    if rows <= width:
        return _Gaussian(mean, (features - mean).T / sqrt(rows - 1))
    covariance = np.zeros((width, width))
    for start in range(0, rows, AT_ONCE):
        centred = features[start : start + AT_ONCE] - mean
        covariance += centred.T @ centred
    values, vectors = eigh(covariance / (rows - 1), overwrite_a=True)
    return _Gaussian(mean, vectors * np.sqrt(values.clip(min=0)))


def _distance(first: _Gaussian, second: _Gaussian, roots: Floats) -> float:
    between = first.mean - second.mean
    traces = float((first.factor**2).sum() + (second.factor**2).sum())
    return max(0.0, float(between @ between) + traces - 2 * float(roots.sum()))


def _influence(features: Features, mean: Floats, slope: Floats, root: Floats) -> Floats:
    """How far each row moves the distance [n], but for a constant; `root` W has the transport map T = W W^T."""
    rows = len(features)
    moved = np.empty(rows)
    for start in range(0, rows, AT_ONCE):
        centred = features[start : start + AT_ONCE] - mean
        transported = ((centred @ root) ** 2).sum(axis=1) * rows / (rows - 1)
        moved[start : start + AT_ONCE] = centred @ slope + (centred**2).sum(axis=1) - transported
    return moved
