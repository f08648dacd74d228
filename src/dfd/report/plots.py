"""The plots of the report, each from labels [n] (1 = fake), scores and probabilities of readable rows to SVG.

A plot that its rows cannot fill (no rows, one class) is None. matplotlib leaves out the points of a curve that nobody
could see, so the page hardly grows with the data.
"""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dfd.evaluation import figures, intervals
from dfd.evaluation.figures import Floats, Ints
from dfd.report.svg import ACCENT, FAINT, FAKE, INK, REAL, UNSURE, new_axes, to_svg
from dfd.report.words import printable

BAND_RESAMPLES = 200
BINS = 40


def roc_plot(label: Ints, score: Floats, group: Ints, operating_point: tuple[float, float]) -> Markup | None:
    """ROC curve with a 95% bootstrap band; `operating_point` is FPR and TPR at the threshold."""
    if len(set(label.tolist())) < 2:
        return None
    figure, axes = new_axes()
    ordered = figures.order(score)
    fpr, tpr = _rates(figures.curve(label, ordered, np.ones((1, len(label)))))
    axes.fill_between(*_roc_band(label, ordered, group), color=ACCENT, alpha=0.18, linewidth=0, label="95% band")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=":", label="guessing")
    axes.plot(fpr[0], tpr[0], color=ACCENT, label="ROC")
    axes.plot(*operating_point, "o", color=INK, markersize=5, label="threshold")
    axes.set(xlabel="False positive rate: reals called fake", ylabel="True positive rate: fakes found")
    _unit_square(axes)
    _legend(axes, loc="lower right")
    at = f"at the threshold, {operating_point[1]:.0%} of fakes found and {operating_point[0]:.0%} of reals called fake"
    return to_svg(figure, "roc-plot", f"ROC curve; {at}")


def precision_recall_plot(label: Ints, score: Floats, operating_point: tuple[float, float] | None) -> Markup | None:
    """Precision over recall; `operating_point` is recall and precision at the threshold, if anything is called fake."""
    if len(set(label.tolist())) < 2:
        return None
    figure, axes = new_axes()
    roc = figures.curve(label, figures.order(score), np.ones((1, len(label))))
    tp, fp = roc.tp[0, 1:], roc.fp[0, 1:]
    recall, precision = np.append(0, tp / tp[-1]), tp / (tp + fp)
    precision = np.append(precision[0], precision)
    axes.axhline(label.mean(), color=FAINT, linewidth=0.8, linestyle=":", label="guessing")
    axes.step(recall, precision, where="pre", color=ACCENT, label="precision")
    if operating_point:
        axes.plot(*operating_point, "o", color=INK, markersize=5, label="threshold")
    axes.set(xlabel="Recall: fakes found", ylabel="Precision: fakes among those called fake")
    _unit_square(axes)
    _legend(axes, loc="lower left")
    return to_svg(figure, "pr-plot", f"Precision over recall; guessing has a precision of {label.mean():.0%}")


def histogram_plot(
    label: Ints, prob: Floats, threshold: float, unsure_band: tuple[float, float] | None
) -> Markup | None:
    """How many reals and fakes get which probability, with the threshold and the unsure band."""
    if not len(label):
        return None
    figure, axes = new_axes()
    edges = np.linspace(0, 1, BINS + 1)
    if unsure_band and unsure_band[1] > unsure_band[0]:
        axes.axvspan(*unsure_band, color=UNSURE, alpha=0.18, linewidth=0, label="unsure")
    for value, name, color in ((0, "real", REAL), (1, "fake", FAKE)):
        counts, _ = np.histogram(prob[label == value], edges)
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(counts, edges, color=color, linewidth=1.2, label=f"{name} ({counts.sum()})")
    axes.axvline(threshold, color=INK, linewidth=1, linestyle="--", label="threshold")
    axes.set(xlabel="Probability of fake", ylabel="Images", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _legend(axes, loc="upper center", ncols=4, bbox_to_anchor=(0.5, 1.13), handlelength=1.2, columnspacing=1.2)
    middle = [
        f"{np.median(prob[label == v]):.2f} for {n}s" for v, n in ((0, "real"), (1, "fake")) if (label == v).any()
    ]
    return to_svg(figure, "hist-plot", f"Histogram of the probability of fake; its median is {' and '.join(middle)}")


def reliability_plot(label: Ints, prob: Floats, before: Floats | None = None) -> Markup | None:
    """Share of fakes over the probability in the bins of the ECE, each with its 95% interval and number of rows.

    `before` are the probabilities [n] of the uncalibrated logits, drawn fainter, without intervals and numbers.
    """
    if len(set(label.tolist())) < 2:
        return None
    figure, axes = new_axes()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=":", label="perfect")
    if before is not None:
        raw = _bins(label, before)
        axes.plot(raw[:, 0], raw[:, 1], "o--", color=FAINT, markersize=3.5, linewidth=0.8, alpha=0.7, label="before")
    bins = _bins(label, prob)
    for x, share, n in bins:
        low, high = intervals.wilson(share, n)
        axes.plot([x, x], [low, high], color=ACCENT, linewidth=1.2, alpha=0.6)
        axes.annotate(f"{n:.0f}", (x, 1.02), ha="center", va="bottom", fontsize=7, color=FAINT, annotation_clip=False)
    axes.plot(bins[:, 0], bins[:, 1], "o", color=ACCENT, markersize=4.5, label="calibrated")
    axes.set(xlabel="Mean probability of fake in a bin (number of images on top)", ylabel="Share of fakes")
    _unit_square(axes)
    worst = f"the largest gap in a bin is {np.abs(bins[:, 1] - bins[:, 0]).max():.2f}"
    if before is not None:
        _legend(axes, loc="lower right")
        worst += f", before calibration {np.abs(raw[:, 1] - raw[:, 0]).max():.2f}"
    return to_svg(figure, "reliability-plot", f"Share of fakes over probability; {worst}")


def _bins(label: Ints, prob: Floats) -> Floats:
    """Mean probability, share of fakes and number of rows [k, 3] of each bin that holds any."""
    bins = figures.bin_of(prob)
    inside = [bins == each for each in np.unique(bins)]
    return np.array([(prob[rows].mean(), label[rows].mean(), rows.sum()) for rows in inside])


def forest_plot(rows: list[tuple[str, float, float, float]], name: str) -> Markup | None:
    """One line a detector, first on top: its AUROC with the interval; rows are (label, value, low, high).

    The best one's interval is continued as a band over all. `name` tells the plots of one page apart.
    """
    if not rows:
        return None
    figure, axes = new_axes(6.4, 0.75 + 0.27 * len(rows))
    labels = [shortened(row[0]) for row in rows]
    _, best, low, high = rows[0]
    axes.axvspan(low, high, color=ACCENT, alpha=0.1, linewidth=0)
    axes.axvline(0.5, color=FAINT, linewidth=0.8, linestyle=":")
    for place, (_, value, least, most) in enumerate(rows):
        axes.plot([least, most], [place, place], color=ACCENT, linewidth=2, alpha=0.55, solid_capstyle="butt")
        axes.plot(value, place, "o", color=ACCENT, markersize=4.5)
    axes.set_yticks(range(len(rows)), labels, parse_math=False)
    axes.set(xlabel="AUROC with its 95% interval; 0.5 is guessing", ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlim(min(0.49, min(row[2] for row in rows) - 0.01), 1.01)
    axes.grid(axis="y", visible=False)
    span = f"from {labels[0]} at {best:.3f} to {labels[-1]} at {rows[-1][1]:.3f}"
    return to_svg(figure, f"forest-{name}", f"AUROC of {len(rows)} detectors, {span}")


def shortened(label: str, most: int = 44) -> str:
    """A label on one line of at most `most` characters: its middle gives way."""
    label = printable(label)
    return label if len(label) <= most else f"{label[: most // 2]}…{label[-most // 2 + 1 :]}"


def loss_plot(history: pd.DataFrame) -> Markup | None:
    """Training and validation loss over epochs."""
    columns = [("train_loss", "training", FAINT), ("val_loss", "validation", ACCENT)]
    return _history_plot(history, columns, "loss", "Loss (log loss)")


def auroc_plot(history: pd.DataFrame) -> Markup | None:
    """Validation AUROC over epochs."""
    return _history_plot(history, [("val_auroc", "validation", ACCENT)], "auroc", "AUROC")


def rate_plot(history: pd.DataFrame) -> Markup | None:
    """Learning rate over epochs."""
    return _history_plot(history, [("lr", "learning rate", ACCENT)], "rate", "Learning rate")


def _history_plot(history: pd.DataFrame, columns: list[tuple[str, str, str]], name: str, title: str) -> Markup | None:
    known = [each for each in columns if each[0] in history and history[each[0]].notna().any()]
    period = next((name for name in ("epoch", "fit") if name in history), None)
    if not known or period is None:
        return None
    figure, axes = new_axes(4.4, 2.6)
    last = []
    for column, label, color in known:
        rows = history[[period, column]].dropna()
        axes.plot(rows[period], rows[column], color=color, label=label, marker="o", markersize=3)
        last.append(f"{label} {rows[column].iloc[-1]:.4g}")
    axes.set(xlabel=period.capitalize(), ylabel=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(known) > 1:
        _legend(axes)
    return to_svg(figure, f"{name}-plot", f"{title} over {period}s; at the end: {', '.join(last)}")


def _rates(roc: figures.Curve) -> tuple[Floats, Floats]:
    return roc.fp / roc.fp[:, -1:], roc.tp / roc.tp[:, -1:]


def _roc_band(label: Ints, ordered: figures.Order, group: Ints) -> tuple[Floats, Floats, Floats]:
    """FPR grid, and at each the 95% percentile bounds of the TPR over bootstrap resamples of groups."""
    grid = np.linspace(0, 1, 101)
    lines = [
        np.interp(grid, fpr, tpr)
        for weights in intervals.resamples(label, group, BAND_RESAMPLES, seed=0)
        for fpr, tpr in zip(*_rates(figures.curve(label, ordered, weights)), strict=True)
    ]
    low, high = np.quantile(lines, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2], axis=0)
    return grid, low, high


def _legend(axes: Axes, **place: Any) -> None:
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, **place)


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
