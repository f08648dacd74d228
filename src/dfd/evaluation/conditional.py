"""AUROC among rows that are alike in something else: in a nuisance score, or in their fold of a cross-validation.

**Strata.** Rows are cut into strata of about equal size by the nuisance score, equal scores staying together, and a
fake is compared only with the reals of its own stratum. Each such pair counts alike, so a stratum weighs as many pairs
as it holds (as with Mantel and Haenszel 1959): the figure is the chance that of a random fake and a random real of one
stratum the fake scores higher, and a stratum with a single fake, which tells little, weighs little. A stratum of one
class holds no pair and drops out.

**Balance.** Within a stratum the nuisance still varies, and a score that merely follows it still gains by that: with 20
strata, a nuisance of AUROC 0.75 reaches 0.516 given itself, and one of 0.95 reaches 0.552, too much for intervals of
2,000 rows. So each row is weighed by the inverse of the chance of its label given its nuisance (Rosenbaum and Rubin
1983), which within a stratum is taken to be a straight line: fakes and reals of a stratum then have the same mean
nuisance, and the two figures become 0.502 and 0.505. `residual` is this figure for the data at hand, the nuisance score
given itself; what it lies above 0.5 is confounding that is left.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from dfd.evaluation import figures, intervals
from dfd.evaluation.figures import Floats, Ints

FEWEST_ROWS = 20  # of either class in strata that hold both; with fewer an interval says nothing
LEAST_CHANCE = 0.02  # of a label given the nuisance: no row weighs as much as 50 others


def conditional_auroc(
    label: ArrayLike,
    score: ArrayLike,
    nuisance: ArrayLike,
    group: ArrayLike,
    strata: int = 20,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """What `score` knows of `label` beyond `nuisance`; all [n], label 1 = fake, higher scores more fake.

    Returns a figure as `evaluation.metrics.measure` does, {"value", "low", "high", "n", "method"}, with a 95% interval
    from a bootstrap of groups, and
    `strata`: how many hold both classes, `dropped_strata` and `dropped_rows`: those that do not,
    `pairs`: pairs of a fake and a real compared, `unbalanced`: the value without weights for balance,
    `residual`: the value of the nuisance score itself.
    value, low and high are None where the rows cannot tell, with the `reason`. Raises ValueError for a score that is
    not finite, or a label other than 0 and 1.
    """
    labels, scores, nuisances = _checked(label, score, nuisance)
    groups = np.asarray(group)
    stratum = quantile_strata(nuisances, strata)
    kept = _with_both_classes(labels, stratum)
    about = {
        "strata": len(np.unique(stratum[kept])),
        "dropped_strata": len(np.unique(stratum[~kept])),
        "dropped_rows": int((~kept).sum()),
    }
    labels, scores, nuisances = labels[kept], scores[kept], nuisances[kept]
    groups, stratum = groups[kept], stratum[kept]
    if reason := _why_not(labels):
        return {"value": None, "low": None, "high": None, "n": len(labels), "reason": reason, **about}
    balance = balancing_weights(labels, nuisances, stratum)
    value, drawn = resampled_auroc(labels, scores, stratum, groups, resamples, seed, balance)
    once = np.ones((1, len(labels)))
    return {
        **figure(labels, groups, value, drawn),
        **about,
        "pairs": int(_pairs(labels, stratum)),
        "unbalanced": float(auroc_within(labels, scores, stratum, once)[0]),
        "residual": float(auroc_within(labels, nuisances, stratum, once, balance)[0]),
    }


def quantile_strata(nuisance: Floats, strata: int) -> Ints:
    """Number of each row's stratum [n], 0 to strata - 1, by rank. Rows of equal nuisance are in one stratum."""
    position = (rankdata(nuisance, "average") - 0.5) / max(1, len(nuisance))
    return np.minimum((position * strata).astype(np.int64), strata - 1)


def balancing_weights(label: Ints, nuisance: Floats, stratum: Ints) -> Floats:
    """A weight for each row [n]: the inverse of the chance of its label, a line in the nuisance within each stratum."""
    weights = np.ones(len(label))
    for each in np.unique(stratum):
        rows = stratum == each
        offset = nuisance[rows] - nuisance[rows].mean()
        spread = float(offset @ offset)
        slope = float(offset @ label[rows]) / spread if spread > 0 else 0.0
        fake = np.clip(label[rows].mean() + slope * offset, LEAST_CHANCE, 1 - LEAST_CHANCE)
        weights[rows] = 1 / np.where(label[rows] == 1, fake, 1 - fake)
    return weights


def auroc_within(label: Ints, score: Floats, stratum: Ints, weights: Floats, balance: Floats | None = None) -> Floats:
    """AUROC among pairs of one stratum, [B]; NaN where no stratum has a pair.

    `weights` [B, n] say how often a row is there. `balance` [n] weighs rows against others of their stratum and class,
    and does not change what the stratum weighs.
    """
    total, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for each in np.unique(stratum):
        rows = np.flatnonzero(stratum == each)
        inside = weights[:, rows]
        fakes = inside @ label[rows].astype(np.float64)
        here = fakes * (inside.sum(axis=1) - fakes)
        if balance is not None:
            inside = inside * balance[rows]
        area = figures.auroc(figures.curve(label[rows], figures.order(score[rows]), inside))
        total += np.where(here > 0, np.nan_to_num(area) * here, 0.0)
        pairs += here
    return np.divide(total, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def resampled_auroc(
    label: Ints,
    score: Floats,
    stratum: Ints,
    group: NDArray[Any],
    resamples: int,
    seed: int,
    balance: Floats | None = None,
) -> tuple[float, Floats]:
    """`auroc_within` of the rows, and of bootstrap resamples of their groups [resamples]."""
    value = float(auroc_within(label, score, stratum, np.ones((1, len(label))), balance)[0])
    drawn = intervals.resamples(label, group, resamples, seed)
    return value, np.concatenate([auroc_within(label, score, stratum, weights, balance) for weights in drawn])


def figure(label: Ints, group: NDArray[Any], value: float, resampled: Floats) -> dict[str, Any]:
    """An AUROC with its 95% interval, in the form of `evaluation.metrics.measure`."""
    rows, groups = smaller_class(label), smaller_class_groups(label, group)
    found = intervals.score_interval(value, resampled, 2 * rows, 2 * groups)
    made = {"value": value, "low": found.low, "high": found.high, "n": len(label), "method": found.method}
    return made | ({"left_out": found.left_out} if found.left_out else {})


def smaller_class(label: Ints) -> int:
    """Rows of the class that has fewer."""
    return int(min((label == 1).sum(), (label == 0).sum()))


def smaller_class_groups(label: Ints, group: NDArray[Any]) -> int:
    """Groups of the class that has fewer."""
    return min(len(np.unique(group[label == each])) for each in (0, 1))


def _checked(label: ArrayLike, score: ArrayLike, nuisance: ArrayLike) -> tuple[Ints, Floats, Floats]:
    labels = np.asarray(label, dtype=np.int64)
    scores, nuisances = np.asarray(score, dtype=np.float64), np.asarray(nuisance, dtype=np.float64)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels are {sorted(set(labels.tolist()))}; accepted are 0 and 1")
    for name, values in (("score", scores), ("nuisance", nuisances)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: {int((~np.isfinite(values)).sum())} of {len(values)} values are not finite")
    return labels, scores, nuisances


def _with_both_classes(label: Ints, stratum: Ints) -> NDArray[np.bool_]:
    fakes = np.bincount(stratum, weights=label)
    return ((fakes > 0) & (fakes < np.bincount(stratum)))[stratum]


def _why_not(label: Ints) -> str | None:
    fewest = smaller_class(label)
    if fewest >= FEWEST_ROWS:
        return None
    return (
        f"only {fewest} images of a class have images of the other class with a like nuisance score; "
        f"at least {FEWEST_ROWS} are needed"
    )


def _pairs(label: Ints, stratum: Ints) -> float:
    fakes = np.bincount(stratum, weights=label)
    return float((fakes * (np.bincount(stratum) - fakes)).sum())
