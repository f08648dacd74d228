"""The kernel distance between two sets of features (KID, Bińkowski et al. 2018): unbiased at any number of images.

The value is torch-fidelity's: the mean over random subsets of the squared maximum mean discrepancy (cubic kernel).

**The interval.** Subsets of b of n rows, drawn without replacement, have a spread that tells that of the whole set:
the variance at n rows is b / (n - b) times theirs (Politis & Romano 1994). So subsets have at most half of the rows:
subsets that are all of them would be one and the same. The few subsets that the mean is over add their share.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from scipy.stats import norm

from dfd.evaluation.frechet import Features
from dfd.evaluation.intervals import LEVEL

METHOD = "subsampling"


@dataclass(frozen=True)
class KernelDistance:
    """The KID, its standard error, and the rows of a subset."""

    value: float
    error: float
    subset_size: int


def kernel_distance(real: Features, fake: Features, subsets: int, subset_size: int, seed: int) -> KernelDistance:
    """The KID of features real [n, d] and fake [m, d], each of 4 rows or more."""
    from torch_fidelity import metric_kid

    fewest = min(len(real), len(fake))
    if fewest < 4:
        raise ValueError(f"{fewest} rows are too few for subsets; accepted are 4 or more")
    size = min(subset_size, fewest // 2)
    found = metric_kid.kid_features_to_metric(
        torch.as_tensor(real),
        torch.as_tensor(fake),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    error = found[metric_kid.KEY_METRIC_KID_STD] * sqrt(size / (fewest - size) + 1 / subsets)
    return KernelDistance(found[metric_kid.KEY_METRIC_KID_MEAN], error, size)


def kid_figure(real: Features, fake: Features, subsets: int, subset_size: int, seed: int) -> dict[str, Any]:
    """`kernel_distance` as a figure: value, low, high, n, n_real, method, subsets, subset_size.

    With fewer than 4 rows in a set the value is None, with the reason.
    """
    counts = {"n": len(fake), "n_real": len(real), "method": METHOD}
    fewest = min(len(real), len(fake))
    if fewest < 4:
        reason = f"{fewest} images are too few for subsets"
        return {"value": None, "low": None, "high": None, **counts, "reason": reason}
    found = kernel_distance(real, fake, subsets, subset_size, seed)
    half = float(norm.ppf((1 + LEVEL) / 2)) * found.error
    bounds = {"value": found.value, "low": found.value - half, "high": found.value + half}
    return {**bounds, **counts, "subsets": subsets, "subset_size": found.subset_size}
