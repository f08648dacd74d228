"""Plots draw what they are given; rows that cannot fill one give none."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from dfd.report import plots

LABEL = np.array([0, 0, 1, 0, 1, 1, 1, 0] * 10)
SCORE = np.tile([-3.0, -1.0, -0.5, 0.2, 0.4, 1.0, 2.0, -2.0], 10)
PROB = 1 / (1 + np.exp(-SCORE))
GROUP = np.arange(80)


def test_all_are_svg_with_a_description_and_no_global_figure(history: pd.DataFrame) -> None:
    drawn = [
        plots.roc_plot(LABEL, SCORE, GROUP, (0.25, 0.75)),
        plots.precision_recall_plot(LABEL, SCORE, (0.75, 0.75)),
        plots.histogram_plot(LABEL, PROB, 0.5, (0.4, 0.6)),
        plots.reliability_plot(LABEL, PROB),
        plots.loss_plot(history),
        plots.auroc_plot(history),
        plots.rate_plot(history),
    ]
    for svg in drawn:
        assert svg is not None
        assert re.match(r'<svg role="img" aria-label="[^"]{20,}" viewBox=', svg) and svg.rstrip().endswith("</svg>")
    assert pyplot.get_fignums() == []


def test_one_class_or_no_rows_give_no_curve() -> None:
    ones, none = np.ones(80, dtype=int), np.array([], dtype=int)
    assert plots.roc_plot(ones, SCORE, GROUP, (0, 0)) is None
    assert plots.precision_recall_plot(ones, SCORE, None) is None
    assert plots.reliability_plot(ones, PROB) is None
    assert plots.histogram_plot(none, np.array([]), 0.5, None) is None
    assert plots.histogram_plot(ones, PROB, 0.5, None) is not None


def test_threshold_and_band_are_in_the_histogram() -> None:
    with_band = plots.histogram_plot(LABEL, PROB, 0.5, (0.4, 0.6))
    assert with_band and ">unsure<" in with_band and ">threshold<" in with_band and ">real (40)<" in with_band
    for band in (None, (0.5, 0.5)):
        assert ">unsure<" not in str(plots.histogram_plot(LABEL, PROB, 0.5, band))


def test_reliability_shows_counts() -> None:
    svg = plots.reliability_plot(np.array([0, 1, 1, 1, 0]), np.array([0.1, 0.9, 0.91, 0.92, 0.1]))
    assert svg and ">2<" in svg and ">3<" in svg


def test_reliability_before_calibration_is_a_second_series() -> None:
    svg = plots.reliability_plot(LABEL, PROB, PROB**4)
    assert svg and ">before<" in svg and ">calibrated<" in svg and "before calibration 0." in svg
    assert ">before<" not in str(plots.reliability_plot(LABEL, PROB))
    assert plots.reliability_plot(LABEL, PROB, np.ones(80)) is not None


@pytest.mark.parametrize("column", ["val_loss", "train_loss"])
def test_missing_columns_of_the_history_are_left_out(history: pd.DataFrame, column: str) -> None:
    svg = plots.loss_plot(history.drop(columns=column))
    assert svg is not None and ">training<" not in svg
    assert plots.auroc_plot(history.assign(val_auroc=np.nan)) is None
    assert plots.rate_plot(history.drop(columns="epoch")) is None


def test_band_holds_the_curve() -> None:
    from dfd.evaluation import figures

    grid, low, high = plots._roc_band(LABEL, figures.order(SCORE), GROUP)
    roc = figures.curve(LABEL, figures.order(SCORE), np.ones((1, 80)))
    middle = np.interp(grid[1:-1], roc.fp[0] / 40, roc.tp[0] / 40)
    assert (low[1:-1] <= middle + 1e-9).all() and (middle <= high[1:-1] + 1e-9).all()
