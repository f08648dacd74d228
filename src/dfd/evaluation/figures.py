"""Every figure as a function of weighted rows, for many sets of weights at once.

`weights` is [B, n]: one line of row weights for each of B resamples (one line of ones gives the plain figure), and
each figure is [B]. So a bootstrap is a few matrix passes: the rows are sorted once, and counts are cumulative sums.
Label 1 = fake is the positive class. A figure that its rows cannot tell is NaN: never a made-up 0 or 0.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ECE_BINS = 15


@dataclass(frozen=True)
class Curve:
    """The ROC curve in weights, [B, k + 1]: sums of fakes (`tp`) and reals (`fp`) that score at least as high as each
    of the k distinct scores, highest first, after a leading 0. Tied rows enter together: their order never matters.
    """

    tp: Floats
    fp: Floats


@dataclass(frozen=True)
class Confusion:
    """Weights [B] of right and wrong decisions; positive = called fake."""

    tp: Floats
    fp: Floats
    tn: Floats
    fn: Floats


@dataclass(frozen=True)
class Order:
    """Rows sorted by falling score: `rows` [n] row numbers, `ends` [k] the last place of each run of equal scores."""

    rows: Ints
    ends: Ints


def order(score: Floats) -> Order:
    """Sort rows by falling score, once for all resamples."""
    rows = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[rows], append=-np.inf))
    return Order(rows, ends)


def curve(label: Ints, ordered: Order, weights: Floats) -> Curve:
    """The weighted ROC curve of rows in their own order: `label` [n], `weights` [B, n]."""
    sorted_weights = weights[:, ordered.rows]
    fake = np.cumsum(sorted_weights * label[ordered.rows], axis=1)[:, ordered.ends]
    both = np.cumsum(sorted_weights, axis=1)[:, ordered.ends]
    start = np.zeros((len(weights), 1))
    return Curve(np.hstack([start, fake]), np.hstack([start, both - fake]))


def auroc(roc: Curve) -> Floats:
    """Area under the ROC curve: the chance that a fake scores above a real, ties counting half."""
    area = (np.diff(roc.fp, axis=1) * (roc.tp[:, 1:] + roc.tp[:, :-1])).sum(axis=1) / 2
    return _ratio(area, roc.tp[:, -1] * roc.fp[:, -1])


def average_precision(roc: Curve) -> Floats:
    """AP, the mean over fakes of the precision at their score: sum of (R_k - R_k-1) P_k, without interpolation."""
    precision_at = np.nan_to_num(_ratio(roc.tp, roc.tp + roc.fp))
    total = (np.diff(roc.tp, axis=1) * precision_at[:, 1:]).sum(axis=1)
    return np.where(roc.fp[:, -1] > 0, _ratio(total, roc.tp[:, -1]), np.nan)


def eer(roc: Curve) -> Floats:
    """Equal error rate: where FPR meets FNR on the ROC curve, drawn with straight lines between its points."""
    fpr, tpr = _rates(roc)
    gap = fpr + tpr - 1  # FPR - FNR rises from -1 to 1
    after = np.argmax(gap >= 0, axis=1)[:, None]  # 1 or more, for the first gap is -1
    before = np.maximum(after - 1, 0)
    low, high = np.take_along_axis(gap, before, axis=1), np.take_along_axis(gap, after, axis=1)
    left, right = np.take_along_axis(fpr, before, axis=1), np.take_along_axis(fpr, after, axis=1)
    return (left - _ratio(low, high - low) * (right - left))[:, 0]


def tpr_at_fpr(roc: Curve, limit: float) -> Floats:
    """The highest TPR of a threshold whose FPR is at most `limit`; no interpolation, so a threshold with it exists."""
    fpr, tpr = _rates(roc)
    return np.where(np.isnan(fpr[:, -1]), np.nan, np.where(fpr <= limit + 1e-12, tpr, 0).max(axis=1))


def _rates(roc: Curve) -> tuple[Floats, Floats]:
    """FPR and TPR, both NaN when either class has no weight."""
    reals, fakes = roc.fp[:, -1:], roc.tp[:, -1:]
    both = np.where((reals > 0) & (fakes > 0), 1.0, np.nan)
    return _ratio(roc.fp, reals) * both, _ratio(roc.tp, fakes) * both


def confusion(label: Ints, called_fake: NDArray[np.bool_], weights: Floats) -> Confusion:
    """Weighted confusion matrix of decisions [n]."""
    fake = label == 1
    cells = np.stack([fake & called_fake, ~fake & called_fake, ~fake & ~called_fake, fake & ~called_fake], axis=1)
    tp, fp, tn, fn = (weights @ cells.astype(np.float64)).T
    return Confusion(tp, fp, tn, fn)


def accuracy(counts: Confusion) -> Floats:
    """Share of right decisions."""
    right = counts.tp + counts.tn
    return _ratio(right, right + counts.fp + counts.fn)


def recall(counts: Confusion) -> Floats:
    """Share of fakes called fake (TPR)."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Confusion) -> Floats:
    """Share of reals called real (1 - FPR)."""
    return _ratio(counts.tn, counts.tn + counts.fp)


def balanced_accuracy(counts: Confusion) -> Floats:
    """Mean of recall and specificity."""
    return (recall(counts) + specificity(counts)) / 2


def precision(counts: Confusion) -> Floats:
    """Share of fakes among what is called fake; NaN when nothing is."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def f1(counts: Confusion) -> Floats:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def brier(label: Ints, prob: Floats, weights: Floats) -> Floats:
    """Mean squared distance of the probability of 'fake' from the label (Brier 1950)."""
    return _ratio(weights @ (prob - label) ** 2, weights.sum(axis=1))


def ece(label: Ints, prob: Floats, weights: Floats, bins: int = ECE_BINS) -> Floats:
    """Expected calibration error of the probability of 'fake' (binary form of Naeini et al. 2015).

    Over bins of equal width on [0, 1], each closed below: the mean, weighed by rows, of |share of fakes - mean
    probability|. Of 'fake', not of the predicted class: a detector that is too sure of fakes and one that is too
    sure of reals both show. Also takes many lines of labels, [B, n].
    """
    inside = (bin_of(prob, bins)[:, None] == np.arange(bins)).astype(np.float64)
    gaps = ((label - prob) * weights) @ inside
    return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def bin_of(prob: Floats, bins: int = ECE_BINS) -> Ints:
    """The bin [n] of each probability, 0 to bins - 1."""
    return np.minimum((prob * bins).astype(np.int64), bins - 1)


def share(flag: NDArray[np.bool_], among: NDArray[np.bool_], weights: Floats) -> Floats:
    """Share of the rows in `among` [n] that have `flag` [n]."""
    return _ratio(weights @ (flag & among).astype(np.float64), weights @ among.astype(np.float64))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Top / bottom, NaN where bottom is 0."""
    bottom = np.broadcast_to(bottom, np.shape(top))
    result = np.full(np.shape(top), np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result
