"""report.html: everything about one evaluation on one page, which needs no other file and no network."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.special import expit

from dfd import __version__
from dfd.evaluation.intervals import LEVEL
from dfd.evaluation.metrics import NAMES
from dfd.files import write_text
from dfd.report import pages, plots, words
from dfd.report.examples import most_wrong

HEADLINE = ("auroc", "balanced_accuracy", "recall", "specificity")
BY_SOURCE = ("accuracy", "auroc", "tpr_at_fpr_5", "eer")
UNREADABLE_SHOWN = 200


@dataclass(frozen=True)
class ReportContext:
    """What a report is made of.

    Attributes:
        title: the heading.
        metrics: what `evaluation.metrics.measure` returned for `predictions`.
        predictions: the predictions table.
        data_root: the folder that `predictions.path` is relative to; images are shown if they are still there.
        facts: what the result was obtained on: section → name → value, such as "Data" → "split" → "test".
        history: training log with the columns epoch, train_loss, val_loss, val_auroc, lr (any may be missing), or None.
        command: the command line that made the report.
        unsure_band: the calibration's (unsure_low, unsure_high), to be drawn in the histogram.
    """

    title: str
    metrics: dict[str, Any]
    predictions: pd.DataFrame
    data_root: Path
    facts: dict[str, dict[str, str]]
    history: pd.DataFrame | None
    command: str
    unsure_band: tuple[float, float] | None = None


def write_report(path: Path, context: ReportContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: ReportContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    metrics, predictions = context.metrics, context.predictions
    unreadable = predictions[predictions["error"].notna()]
    return (
        pages.environment()
        .get_template("report.html")
        .render(
            title=context.title,
            metrics=metrics,
            facts=context.facts,
            command=context.command.splitlines(),
            threshold=words.threshold,
            names=NAMES,
            meanings=words.MEANINGS,
            headline=HEADLINE,
            by_source=BY_SOURCE,
            summary=words.summary(metrics),
            cautions=words.cautions(metrics),
            plots=_plots(context),
            training=_training_plots(context.history),
            examples=most_wrong(predictions, metrics["threshold"], context.data_root),
            unreadable=unreadable[["path", "error"]].head(UNREADABLE_SHOWN).to_dict("records"),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
        )
    )


def _plots(context: ReportContext) -> list[tuple[str, str, Markup]]:
    """Title, explanation and SVG of each plot that the rows can fill."""
    metrics, table = context.metrics, context.predictions
    rows = table[table["error"].isna() & (table["label"] != -1)]
    label, group = rows["label"].to_numpy(np.int64), rows["group"].to_numpy()
    logit, prob = rows["logit"].to_numpy(np.float64), rows["prob"].to_numpy(np.float64)
    figure = {key: metrics["overall"][key]["value"] for key in ("recall", "precision", "specificity")}
    roc_point = (1 - (figure["specificity"] or 0), figure["recall"] or 0)
    pr_point = None if figure["precision"] is None else (figure["recall"] or 0, figure["precision"])
    drawn = [
        (
            "Scores",
            "How many images got which probability. The further the two apart, the better.",
            plots.histogram_plot(label, prob, metrics["threshold"], context.unsure_band),
        ),
        (
            "ROC",
            "Fakes found against false alarms, at every threshold. The dot is the threshold in use.",
            plots.roc_plot(label, logit, group, roc_point),
        ),
        (
            "Precision and recall",
            "How many alarms are right, against how many fakes are found, at this data's share of fakes.",
            plots.precision_recall_plot(label, logit, pr_point),
        ),
        (
            "Reliability",
            "Whether 70% means 70%: dots on the diagonal mean that probabilities can be taken at their word, on images "
            f"like these and with as many fakes among them. Bars: {LEVEL:.0%}, images taken as independent. "
            "Faint: before calibration.",
            plots.reliability_plot(label, prob, expit(logit)),
        ),
    ]
    return [(title, text, svg) for title, text, svg in drawn if svg is not None]


def _training_plots(history: pd.DataFrame | None) -> list[tuple[str, Markup]]:
    if history is None:
        return []
    drawn = [
        ("Loss", plots.loss_plot(history)),
        ("Validation AUROC", plots.auroc_plot(history)),
        ("Learning rate", plots.rate_plot(history)),
    ]
    return [(title, svg) for title, svg in drawn if svg is not None]
