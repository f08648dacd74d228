"""From a predictions table to the content of metrics.json: every figure with n and a 95% interval.

Overall and by source. A source holds one class as a rule (a camera: reals; a generator: fakes). Then its accuracy,
recall or specificity and Brier score are of its own rows, and a figure that needs both classes (AUROC, AP, EER, TPR at
an FPR, balanced accuracy, precision, F1) compares its rows with ALL rows of the other class; `compared_with` says so.
AP, precision and F1 depend on how many rows of either class there are: compare them between sources with care.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfd.config import EvaluationConfig
from dfd.errors import UserError
from dfd.evaluation import figures, intervals
from dfd.evaluation.figures import Floats, Ints

Flags = NDArray[np.bool_]

# Key in metrics.json → name for people, in the order in which they are shown.
NAMES = {
    "auroc": "AUROC",
    "ap": "AP",
    "eer": "EER",
    "tpr_at_fpr_1": "TPR at 1% FPR",
    "tpr_at_fpr_5": "TPR at 5% FPR",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "f1": "F1",
    "brier": "Brier score",
    "ece": "ECE",
}

RANKING: dict[str, Callable[[figures.Curve], Floats]] = {
    "auroc": figures.auroc,
    "ap": figures.average_precision,
    "eer": figures.eer,
    "tpr_at_fpr_1": partial(figures.tpr_at_fpr, limit=0.01),
    "tpr_at_fpr_5": partial(figures.tpr_at_fpr, limit=0.05),
}
DECISION: dict[str, Callable[[figures.Confusion], Floats]] = {
    "balanced_accuracy": figures.balanced_accuracy,
    "precision": figures.precision,
    "recall": figures.recall,
    "specificity": figures.specificity,
    "f1": figures.f1,
}
PERCENTILE = frozenset({"eer", "tpr_at_fpr_1", "tpr_at_fpr_5", "brier"})  # the others have score intervals
REALS_NEEDED = {"tpr_at_fpr_1": 100, "tpr_at_fpr_5": 20}  # with fewer, one false positive already exceeds the FPR
BOTH_CLASSES = frozenset({*RANKING, "balanced_accuracy", "precision", "f1", "ece"})
MEANS_OF_BOTH = frozenset({"auroc", "ap", "eer", "balanced_accuracy", "f1"})


@dataclass(frozen=True)
class Rows:
    """Readable, labelled rows as arrays [n]. `own` marks those of the source at hand, compared with the rest."""

    label: Ints
    logit: Floats
    prob: Floats
    group: NDArray[Any]
    verdict: NDArray[Any]
    called_fake: Flags
    own: Flags

    @property
    def decided(self) -> Flags:
        """Whether the verdict on an own row is 'real' or 'fake', not 'unsure'."""
        return self.own & np.isin(self.verdict.astype(str), ("real", "fake"))

    @property
    def wrong(self) -> Flags:
        """Wrong by verdict, which differs from `called_fake` at most within the unsure band."""
        return np.asarray((self.verdict == "fake") != (self.label == 1), dtype=bool)

    def among(self, keep: Flags, own: Flags) -> "Rows":
        """The kept rows, with `own` as those at hand; both [n] of these rows."""
        values = (self.label[keep], self.logit[keep], self.prob[keep], self.group[keep], self.verdict[keep])
        return Rows(*values, self.called_fake[keep], own[keep])


def measure(predictions: pd.DataFrame, threshold: float, settings: EvaluationConfig) -> dict[str, Any]:
    """All figures of a predictions table, as JSON-able dicts, lists, strings and numbers (never NaN).

    Rows with an `error` are counted as unreadable, rows of unknown label (-1) as unlabelled; neither is measured.
    AUROC, AP, EER and TPR at an FPR rank by `logit`; `prob` >= `threshold` is called fake in the others.

    Out-of-fold rows are judged by thresholds of their own: a column `threshold` takes the place of the argument.
    Then "threshold" is its mean over the measured rows, between "threshold_low" and "threshold_high".

    A figure is {"value", "low", "high", "n", "method"}, with "left_out" when the figure is undefined in some
    resamples. One that the rows cannot tell has null in value, low and high, and the "reason" in words.

    Raises UserError when a row has neither an error nor a probability.
    """
    unreadable = predictions["error"].notna()
    measured = predictions[~unreadable & (predictions["label"] != -1)]
    thresholds = _thresholds(measured, threshold)
    rows = _rows(measured, thresholds)
    found = _figures(rows, settings)
    verdicts = {name: int((rows.verdict == name).sum()) for name in ("real", "unsure", "fake")}
    return {
        **_counts(rows),
        "n_unreadable": int(unreadable.sum()),
        "n_unlabelled": int((~unreadable & (predictions["label"] == -1)).sum()),
        "n_groups": {"real": _groups(rows, rows.label == 0), "fake": _groups(rows, rows.label == 1)},
        **_summary(thresholds, threshold, "threshold" in predictions),
        "interval": {
            "level": intervals.LEVEL,
            "method": "bootstrap of groups within class",
            "resamples": settings.resamples,
            "seed": settings.seed,
        },
        "overall": {key: found[key] for key in NAMES},
        "confusion": _confusion(rows),
        "verdicts": {**verdicts, "coverage": found["coverage"], "error": found["error"]},
        "by_source": _by_source(rows, measured["source"], predictions["source"][unreadable], settings),
    }


def _thresholds(table: pd.DataFrame, threshold: float) -> Floats:
    """The threshold [n] of each row: its own where the table has that column."""
    if "threshold" not in table:
        return np.full(len(table), float(threshold))
    own = table["threshold"].to_numpy(np.float64)
    bad = ~((own >= 0) & (own <= 1))
    if bad.any():
        raise UserError(
            f"predictions: {int(bad.sum())} rows have no threshold within 0 to 1; "
            f"the first is {table['path'].iloc[int(bad.argmax())]!r}"
        )
    return own


def _summary(thresholds: Floats, threshold: float, by_row: bool) -> dict[str, float]:
    if not by_row or not len(thresholds):
        return {"threshold": float(threshold)}
    low, high = float(thresholds.min()), float(thresholds.max())
    return {"threshold": float(thresholds.mean()), "threshold_low": low, "threshold_high": high}


def _rows(table: pd.DataFrame, thresholds: Floats) -> Rows:
    logit, prob = table["logit"].to_numpy(np.float64), table["prob"].to_numpy(np.float64)
    bad = np.isnan(logit) | ~((prob >= 0) & (prob <= 1))
    if bad.any():
        raise UserError(
            f"predictions: {int(bad.sum())} rows have no error, but no logit or no probability within 0 to 1; "
            f"the first is {table['path'].iloc[int(bad.argmax())]!r}"
        )
    label = table["label"].to_numpy(np.int64)
    if not np.isin(label, (0, 1)).all():
        raise UserError(f"predictions: labels are {sorted(set(label.tolist()))}; accepted are 0, 1 and -1 (unknown)")
    verdict = table["verdict"].to_numpy(object)
    group = table["group"].to_numpy()
    return Rows(label, logit, prob, group, verdict, prob >= thresholds, np.ones(len(table), dtype=bool))


def _by_source(rows: Rows, source: pd.Series, unreadable: pd.Series, settings: EvaluationConfig) -> dict[str, Any]:
    names, unreadable_names = _source_names(source), _source_names(unreadable)
    result = {}
    for name in sorted({*names, *unreadable_names}):
        own = names == name
        labels = set(rows.label[own].tolist())
        keep, compared_with = own, "its own rows of the other class"
        if len(labels) == 1:
            keep = own | ~np.isin(rows.label, list(labels))
            compared_with = "all real rows" if labels == {1} else "all fake rows"
        part = rows.among(keep, own)
        found = _figures(part, settings)
        result[name] = {
            **_counts(part),
            "n_unreadable": int((unreadable_names == name).sum()),
            "label": {(0,): "real", (1,): "fake", (0, 1): "both", (): "unreadable"}[tuple(sorted(labels))],
            "compared_with": compared_with,
            "metrics": {key: found[key] for key in NAMES},
        }
    return result


def _source_names(source: pd.Series) -> NDArray[Any]:
    return np.array(["(none)" if pd.isna(name) else str(name) for name in source], dtype=object)


def _figures(rows: Rows, settings: EvaluationConfig) -> dict[str, dict[str, Any]]:
    """Each figure with its interval."""
    compute = partial(_compute, rows, figures.order(rows.logit))
    plain = compute(np.ones((1, len(rows.label))))
    drawn = intervals.resamples(rows.label, rows.group, settings.resamples, settings.seed)
    parts = [compute(weights) for weights in drawn] or [plain]
    resampled = {key: np.concatenate([part[key] for part in parts]) for key in plain}
    return {key: _figure(key, float(plain[key][0]), resampled[key], rows, settings) for key in plain}


def _compute(rows: Rows, ordered: figures.Order, weights: Floats) -> dict[str, Floats]:
    """Every figure for every line of `weights` [B, n]."""
    own = weights if rows.own.all() else weights * rows.own
    counts = figures.confusion(rows.label, rows.called_fake, weights)
    roc = figures.curve(rows.label, ordered, weights)
    return {
        **{key: rank(roc) for key, rank in RANKING.items()},
        **{key: decide(counts) for key, decide in DECISION.items()},
        "accuracy": figures.share(rows.called_fake == (rows.label == 1), rows.own, weights),
        "brier": figures.brier(rows.label, rows.prob, own),
        "ece": figures.ece(rows.label, rows.prob, own),
        "coverage": figures.share(rows.decided, rows.own, weights),
        "error": figures.share(rows.wrong, rows.decided, weights),
    }


def _figure(key: str, value: float, resampled: Floats, rows: Rows, settings: EvaluationConfig) -> dict[str, Any]:
    among = _averaged_over(key, rows)
    n = int(among.sum())
    reason = _why_not(key, value, rows)
    if reason:
        return {"value": None, "low": None, "high": None, "n": n, "reason": reason}
    found = _interval(key, value, resampled, rows, settings)
    figure = {"value": value, "low": found.low, "high": found.high, "n": n, "method": found.method}
    return figure | ({"left_out": found.left_out} if found.left_out else {})


def _interval(key: str, value: float, resampled: Floats, rows: Rows, settings: EvaluationConfig) -> intervals.Interval:
    if key == "ece":
        own = rows.among(rows.own, rows.own)
        drawn = intervals.calibrated_labels(own.prob, own.group, settings.resamples, settings.seed)
        flat = np.ones((1, len(own.label)))
        by_chance = np.concatenate([figures.ece(label, own.prob, flat) for label in drawn])
        return intervals.excess_interval(value, resampled, by_chance)
    among = rows.label == 1 if key in REALS_NEEDED else _averaged_over(key, rows)  # a TPR is a share of the fakes
    n, groups = int(among.sum()), _groups(rows, among)
    if key in MEANS_OF_BOTH:
        real, fake = rows.label == 0, rows.label == 1
        n = 2 * min(int(real.sum()), int(fake.sum()))
        groups = 2 * min(_groups(rows, real), _groups(rows, fake))
    if key in PERCENTILE:
        return intervals.percentile_interval(value, resampled, groups)
    return intervals.score_interval(value, resampled, n, groups)


def _averaged_over(key: str, rows: Rows) -> Flags:
    """The rows [n] that a figure is computed on."""
    if key in ("accuracy", "brier", "ece", "coverage"):
        return rows.own
    special = {"recall": rows.label == 1, "specificity": rows.label == 0, "precision": rows.called_fake}
    return rows.decided if key == "error" else special.get(key, np.ones(len(rows.label), dtype=bool))


def _why_not(key: str, value: float, rows: Rows) -> str | None:
    """Why the rows cannot tell the figure; None when they can."""
    labels, own_labels = set(rows.label.tolist()), set(rows.label[rows.own].tolist())
    if not own_labels:
        return "no images"
    if (key in BOTH_CLASSES and 1 not in labels) or (key == "recall" and 1 not in own_labels):
        return "no fake images"
    if (key in BOTH_CLASSES and 0 not in labels) or (key == "specificity" and 0 not in own_labels):
        return "no real images"
    if key == "ece" and len(own_labels) == 1:
        return "images of one class only"
    if int((rows.label == 0).sum()) < REALS_NEEDED.get(key, 0):
        return f"needs {REALS_NEEDED[key]} real images"
    undefined = {"precision": "nothing is called fake", "error": "nothing is decided"}.get(key, "undefined")
    return undefined if np.isnan(value) else None


def _groups(rows: Rows, among: Flags) -> int:
    return len(np.unique(rows.group[among]))


def _counts(rows: Rows) -> dict[str, int]:
    fakes = int((rows.label[rows.own] == 1).sum())
    n = int(rows.own.sum())
    return {"n": n, "n_real": n - fakes, "n_fake": fakes}


def _confusion(rows: Rows) -> dict[str, int]:
    counts = figures.confusion(rows.label, rows.called_fake, np.ones((1, len(rows.label))))
    return {cell: int(getattr(counts, cell)[0]) for cell in ("tp", "fp", "tn", "fn")}
