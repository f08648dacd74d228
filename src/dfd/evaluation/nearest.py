"""Distances between rows of features: has a generator memorised its training images, and how varied are its samples?

**Memorisation.** A generator that has learnt a distribution puts its samples about as far from the training images as
held-out real images lie. One that copies puts them closer (Meehan et al. 2020, the test for data-copying). So does
one whose samples are less varied than the reals, but to held-out reals as much: a copy has its training image as the
nearest of both, where any other sample has it with the share that training images have in both together.

**Diversity.** The mean distance of two samples over that of two reals: 1 is as varied, 0 is one image again and again.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import binom, hypergeom, norm

from dfd.evaluation.figures import Floats, Ints
from dfd.evaluation.frechet import Features
from dfd.evaluation.intervals import LEVEL, wilson

CLOSE = 0.01  # share of held-out reals that are 'very close' to a training image
CELLS = 2**24  # distances held at once: 64 MB
PAIRED_ROWS = 2000  # rows that mean distances are taken over


@dataclass(frozen=True)
class Neighbours:
    """The nearest row for each of n queries: its Euclidean distance [n] and its number [n]."""

    distance: Floats
    row: Ints


@dataclass(frozen=True)
class Beside:
    """Distances [n] of the samples to the nearest held-out real, and the share of training images in both sets."""

    distance: Floats
    training_share: float


def nearest(queries: Features, among: Features, itself: bool = False) -> Neighbours:
    """For each row of `queries` [n, d] the nearest of `among` [m, d]; `itself`: they are the same rows, not compared
    with themselves.
    """
    queries, among = np.asarray(queries, np.float32), np.asarray(among, np.float32)
    rows = np.empty(len(queries), np.int64)
    squares = (among**2).sum(axis=1)
    step = max(1, CELLS // len(among))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        distances = squares - 2 * (part @ among.T)  # but for what is the same for all of `among`
        if itself:
            distances[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        rows[start : start + step] = distances.argmin(axis=1)
    return Neighbours(_distance_of_pairs(queries, among, rows), rows)


def _distance_of_pairs(queries: Features, among: Features, rows: Ints) -> Floats:
    """Exact where the matrix product, which takes the difference of large numbers, is not: near 0."""
    step = max(1, CELLS // queries.shape[1])
    parts = [
        np.linalg.norm(queries[start : start + step] - among[rows[start : start + step]], axis=1)
        for start in range(0, len(queries), step)
    ]
    return np.concatenate(parts).astype(np.float64)


def memorisation(samples: Floats, held_out: Floats, beside: Beside | None = None) -> dict[str, Any]:
    """Figures from distances to the nearest training image: of samples [n], and of reals that are not among them [m].

    `very_close`: share of samples nearer than `limit`, which `expected` of new reals would be. `p`: the chance of as
    many if samples were reals (exact: the limit is itself the distance of one of few held-out reals). `closer`: the
    chance that a sample is closer than a held-out real; 0.5 is no difference (score interval with DeLong's variance).
    `to_training`: of the samples nearer than `limit` to a training image or a held-out real, the share whose nearest is
    a training image, with the share `expected` by chance and `p`; None without `beside`.
    """
    ordered = np.sort(held_out)
    place = max(1, int(CLOSE * (len(ordered) + 1)))
    limit = float(ordered[place - 1])
    below = int((samples < limit).sum())
    share = below / len(samples)
    # That many are below it if the `place` - 1 reals below it are all that is among the lowest of both.
    p = float(hypergeom(len(samples) + len(ordered), len(ordered), below + place - 1).cdf(place - 1))
    low, high = wilson(share, len(samples))
    return {
        "very_close": {"value": share, "low": low, "high": high, "n": len(samples), "method": "score"},
        "expected": place / (len(ordered) + 1),
        "limit": limit,
        "p": p,
        "closer": _chance_closer(samples, ordered),
        "to_training": _to_training(samples, beside, limit) if beside else None,
        "median": {"samples": float(np.median(samples)), "held_out": float(np.median(held_out))},
        "n_held_out": len(ordered),
    }


def _to_training(samples: Floats, beside: Beside, limit: float) -> dict[str, Any]:
    near = np.minimum(samples, beside.distance) < limit
    count, among = int((samples < beside.distance)[near].sum()), int(near.sum())
    told = {"expected": beside.training_share, "n": among, "method": "score"}
    if not among:
        reason = "none is very close to a real"
        return {"value": None, "low": None, "high": None, **told, "reason": reason, "p": 1.0}
    low, high = wilson(count / among, among)
    p = float(binom(among, beside.training_share).sf(count - 1))
    return {"value": count / among, "low": low, "high": high, **told, "p": p}


def _chance_closer(samples: Floats, held_out: Floats) -> dict[str, Any]:
    by_sample = 1 - _share_below(np.sort(held_out), samples)
    by_held_out = _share_below(np.sort(samples), held_out)
    value = float(by_sample.mean())
    variance = sum(float(each.var(ddof=1)) / len(each) for each in (by_sample, by_held_out) if len(each) > 1)
    fewest = min(len(samples), len(held_out))
    effective = min(2 * fewest, value * (1 - value) / variance) if variance > 0 else fewest
    low, high = wilson(value, effective)
    return {"value": value, "low": low, "high": high, "n": len(samples), "method": "score"}


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """For each value the share of `ordered` that is below it; equal ones count half."""
    both = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return both / (2 * len(ordered))


def diversity_figure(real: Features, fake: Features, seed: int) -> dict[str, Any]:
    """Mean distance of two samples over that of two reals, with an interval (jackknife and delta method).

    Taken over up to PAIRED_ROWS random rows of each set; n says over how many.
    """
    generator = np.random.default_rng(seed)
    sets = [each[generator.permutation(len(each))[:PAIRED_ROWS]] for each in (real, fake)]
    (base, base_error), (value, error) = (_mean_distance(each) for each in sets)
    counts = {"n": len(sets[1]), "n_real": len(sets[0]), "method": "jackknife"}
    if base == 0:
        return {"value": None, "low": None, "high": None, **counts, "reason": "the reals are all the same"}
    ratio = value / base
    half = float(norm.ppf((1 + LEVEL) / 2)) * sqrt(error**2 + (ratio * base_error) ** 2) / base
    return {"value": ratio, "low": max(0.0, ratio - half), "high": ratio + half, **counts}


def _mean_distance(features: Features) -> tuple[float, float]:
    """Mean Euclidean distance of two different rows, and its standard error as of a U-statistic of two rows."""
    rows = np.asarray(features, np.float64)
    squares = (rows**2).sum(axis=1)
    table = squares[:, None] + squares - 2 * rows @ rows.T
    np.fill_diagonal(table, 0)
    by_row = np.sqrt(table.clip(min=0)).sum(axis=1) / (len(rows) - 1)
    return float(by_row.mean()), 2 * float(by_row.std(ddof=1)) / sqrt(len(rows))
