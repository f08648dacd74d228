"""From logits of images and changed versions of them to figures: what each change does to a detector.

Every version is measured at the stored threshold, which is never fitted anew. All versions are measured on the same
bootstrap resamples of groups, so that differences from the unchanged images are paired: which images happen to be in
the test set moves both alike, and the interval of a difference is much shorter than the two intervals side by side.
See `evaluation.intervals` for how groups are drawn, and for the intervals of figures that are no differences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfd.config import EvaluationConfig
from dfd.evaluation import figures, intervals
from dfd.evaluation.calibration import Calibration
from dfd.evaluation.figures import Floats, Ints

Flags = NDArray[np.bool_]
Cell = tuple[str, float]  # kind and strength
Samples = dict[str, Floats]  # figure → its value in each resample [B]

BOTH_CLASSES = ("auroc", "balanced_accuracy")
DECISIONS = ("recall", "specificity")
SHIFTS = ("flipped", "became_unsure")
FIGURES = (*BOTH_CLASSES, *DECISIONS, *SHIFTS)
CHANGES = {f"{key}_change": key for key in BOTH_CLASSES}


@dataclass(frozen=True)
class Rows:
    """One version's readable rows: `keep` [n] marks them among all, the others are [k] of them."""

    keep: Flags
    label: Ints
    group: NDArray[Any]
    called_fake: Flags
    flipped: Flags
    became_unsure: Flags
    ordered: figures.Order

    def size(self, key: str) -> tuple[int, int]:
        """How many rows, and how many groups of them, a figure counts for; as in `evaluation.metrics`."""
        real, fake = self.label == 0, self.label == 1
        if key.removesuffix("_change") in BOTH_CLASSES:
            return 2 * min(int(real.sum()), int(fake.sum())), 2 * min(self._groups(real), self._groups(fake))
        among = {"recall": fake, "specificity": real}.get(key, np.ones(len(self.label), dtype=bool))
        return int(among.sum()), self._groups(among)

    def _groups(self, among: Flags) -> int:
        return len(np.unique(self.group[among]))


def measure(
    logit: Floats,
    label: Ints,
    group: NDArray[Any],
    cells: Sequence[Cell],
    calibration: Calibration,
    settings: EvaluationConfig,
) -> dict[str, Any]:
    """Figures of every cell, as JSON-able dicts and numbers (never NaN).

    Args:
        logit: [n, 1 + k] logits; column 0 is the unchanged image, column 1 + i is `cells[i]`. NaN: not readable.
        label: [n] 1 = fake, 0 = real.
        group: [n] rows of one group are not independent.
        cells: [k] kind and strength of each column but the first.
        calibration: the bundle's own.
        settings: resamples and seed.

    Each cell has `auroc`, `balanced_accuracy`, `recall`, `specificity`, `auroc_change` and `balanced_accuracy_change`
    (cell minus unchanged, on the cell's images), `flipped` (share of images called fake before and real now, or the
    other way round), `became_unsure` (share whose verdict was not 'unsure' before and is now), and `flips`, the number
    of images each way. A figure is {"value", "low", "high", "n", "method"}, with a "reason" where the rows cannot tell.
    """
    logit = np.asarray(logit, dtype=np.float64)
    if logit.shape != (len(label), 1 + len(cells)):
        raise ValueError(f"logit is {logit.shape}, expected {(len(label), 1 + len(cells))}")
    versions = _versions(logit, label, group, calibration)
    plain = _sample(versions, np.ones((1, len(label))))
    drawn = intervals.resamples(label, group, settings.resamples, settings.seed)
    parts = [_sample(versions, weights) for weights in drawn] or [plain]
    samples = [
        {key: np.concatenate([part[i][key] for part in parts]) for key in plain[i]} for i in range(len(versions))
    ]
    found = [_figures(version.rows, plain[i], samples[i]) for i, version in enumerate(versions)]
    result = [
        {
            "kind": kind,
            "strength": float(strength),
            "n": len(version.rows.label),
            **about,
            "flips": _flips(version.rows),
        }
        for (kind, strength), version, about in zip(cells, versions[1:], found[1:], strict=True)
    ]
    return {
        **_counts(versions[0].rows),
        "threshold": float(calibration.threshold),
        "interval": {
            "level": intervals.LEVEL,
            "method": "bootstrap of groups within class; differences on the same resamples",
            "resamples": settings.resamples,
            "seed": settings.seed,
        },
        "unchanged": {key: found[0][key] for key in (*BOTH_CLASSES, *DECISIONS)},
        "cells": result,
        **_means(cells, versions[0].rows, plain, samples),
        "worst": {key: worst(result, key) for key in BOTH_CLASSES},
    }


def worst(cells: Sequence[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """Kind and strength of the cell with the lowest value of a figure; None if no cell has one.

    The lowest of many measured values is a little lower than its truth: part of being lowest is luck.
    """
    known = [cell for cell in cells if cell[key]["value"] is not None]
    if not known:
        return None
    lowest = min(known, key=lambda cell: float(cell[key]["value"]))
    return {"kind": lowest["kind"], "strength": lowest["strength"]}


@dataclass(frozen=True)
class Version:
    """Rows of a version, and of the same images unchanged."""

    rows: Rows
    unchanged: Rows


def _versions(logit: Floats, label: Ints, group: NDArray[Any], calibration: Calibration) -> list[Version]:
    prob = calibration.prob(logit)
    fake, unsure = prob >= calibration.threshold, calibration.verdict(prob) == "unsure"
    readable = np.isfinite(logit)
    readable &= readable[:, :1]  # a change is measured against the unchanged image

    def rows(column: int, keep: Flags) -> Rows:
        return Rows(
            keep=keep,
            label=label[keep],
            group=group[keep],
            called_fake=fake[keep, column],
            flipped=fake[keep, column] != fake[keep, 0],
            became_unsure=unsure[keep, column] & ~unsure[keep, 0],
            ordered=figures.order(logit[keep, column]),
        )

    first = rows(0, readable[:, 0])
    made = [Version(first, first)]
    for column in range(1, logit.shape[1]):
        keep = readable[:, column]
        made.append(Version(rows(column, keep), first if (keep == first.keep).all() else rows(0, keep)))
    return made


def _sample(versions: Sequence[Version], weights: Floats) -> list[Samples]:
    """Every figure of every version for each line of `weights` [b, n]."""
    first = versions[0].rows
    unchanged = _compute(first, weights[:, first.keep])
    made = []
    for version in versions:
        own = weights[:, version.rows.keep]
        values = _compute(version.rows, own)
        before = unchanged if version.unchanged is first else _compute(version.unchanged, own)
        made.append(values | {name: values[key] - before[key] for name, key in CHANGES.items()})
    return made


def _compute(rows: Rows, weights: Floats) -> Samples:
    counts = figures.confusion(rows.label, rows.called_fake, weights)
    everyone = np.ones(len(rows.label), dtype=bool)
    return {
        "auroc": figures.auroc(figures.curve(rows.label, rows.ordered, weights)),
        "balanced_accuracy": figures.balanced_accuracy(counts),
        "recall": figures.recall(counts),
        "specificity": figures.specificity(counts),
        "flipped": figures.share(rows.flipped, everyone, weights),
        "became_unsure": figures.share(rows.became_unsure, everyone, weights),
    }


def _figures(rows: Rows, plain: Samples, resampled: Samples) -> dict[str, Any]:
    return {key: _figure(key, float(plain[key][0]), resampled[key], rows) for key in (*FIGURES, *CHANGES)}


def _figure(key: str, value: float, resampled: Floats, rows: Rows) -> dict[str, Any]:
    size, groups = rows.size(key)
    shown = len(rows.label) if key.removesuffix("_change") in BOTH_CLASSES else size
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "n": shown, "reason": _why_not(rows)}
    if key in CHANGES:
        low, high = _difference_interval(value, resampled, groups)
        return {"value": value, "low": low, "high": high, "n": shown, "method": "percentile, paired"}
    found = intervals.score_interval(value, resampled, size, groups)
    return {"value": value, "low": found.low, "high": found.high, "n": shown, "method": found.method}


def _difference_interval(value: float, resampled: Floats, groups: int) -> tuple[float, float]:
    """Percentiles of the resampled differences; when all agree, Wilson's width for a share of 0, to either side."""
    kept = resampled[~np.isnan(resampled)]
    if len(kept) == 0 or float(np.ptp(kept)) < 1e-12:
        width = intervals.wilson(0.0, groups)[1]
        return value - width, value + width
    tail = (1 - intervals.LEVEL) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(min(low, value)), float(max(high, value))


def _means(cells: Sequence[Cell], rows: Rows, plain: Sequence[Samples], resampled: Sequence[Samples]) -> dict[str, Any]:
    """Figures averaged over the strengths of each kind, and those over the kinds: each kind counts alike."""
    members: dict[str, list[int]] = {}
    for column, (kind, _) in enumerate(cells, start=1):
        members.setdefault(kind, []).append(column)

    def mean(samples: Sequence[Samples], key: str, columns: Sequence[int]) -> Floats:
        return np.mean([samples[column][key] for column in columns], axis=0)

    kinds: dict[str, Any] = {kind: {} for kind in members}
    average = {}
    for key in (*FIGURES, *CHANGES):
        values = {kind: mean(plain, key, columns) for kind, columns in members.items()}
        drawn = {kind: mean(resampled, key, columns) for kind, columns in members.items()}
        for kind in members:
            kinds[kind][key] = _figure(key, float(values[kind][0]), drawn[kind], rows)
        overall = np.mean(list(values.values()), axis=0)
        average[key] = _figure(key, float(overall[0]), np.mean(list(drawn.values()), axis=0), rows)
    return {"kinds": kinds, "average": average}


def _why_not(rows: Rows) -> str:
    labels = set(rows.label.tolist())
    if not labels:
        return "no images"
    if labels == {0}:
        return "no fake images"
    return "no real images" if labels == {1} else "undefined"


def _flips(rows: Rows) -> dict[str, int]:
    return {
        "real_to_fake": int((rows.flipped & rows.called_fake).sum()),
        "fake_to_real": int((rows.flipped & ~rows.called_fake).sum()),
        "became_unsure": int(rows.became_unsure.sum()),
    }


def _counts(rows: Rows) -> dict[str, Any]:
    real, fake = rows.label == 0, rows.label == 1
    return {
        "n": len(rows.label),
        "n_real": int(real.sum()),
        "n_fake": int(fake.sum()),
        "n_groups": {name: len(np.unique(rows.group[among])) for name, among in (("real", real), ("fake", fake))},
    }
