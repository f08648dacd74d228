"""Every figure equals scikit-learn's, with tied scores and with weights; undefined ones are NaN."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dfd.evaluation import figures


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Labels, tied scores in [0, 1], whole weights with zeros among them; both classes have weight."""
    n = draw(st.integers(2, 40))
    label = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    weight = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    label[:2], weight[:2] = [0, 1], [1, 2]
    return np.array(label), np.array(score) / 12, np.array(weight, dtype=float)


def curve(label: Any, score: Any, weight: Any) -> figures.Curve:
    return figures.curve(label, figures.order(score), np.stack([weight, np.ones(len(label))]))


@given(tables())
def test_ranking_figures_equal_sklearn(table: tuple[Any, Any, Any]) -> None:
    label, score, weight = table
    roc = curve(label, score, weight)
    for line, sample_weight in enumerate((weight, np.ones(len(label)))):
        expected = sk.roc_auc_score(label, score, sample_weight=sample_weight)
        assert figures.auroc(roc)[line] == pytest.approx(expected, abs=1e-12)
        expected = sk.average_precision_score(label, score, sample_weight=sample_weight)
        assert figures.average_precision(roc)[line] == pytest.approx(expected, abs=1e-12)
        fpr, tpr, _ = sk.roc_curve(label, score, sample_weight=sample_weight, drop_intermediate=False)
        for limit in (0.01, 0.05, 0.5):
            assert figures.tpr_at_fpr(roc, limit)[line] == pytest.approx(tpr[fpr <= limit + 1e-12].max(), abs=1e-12)
        rate = figures.eer(roc)[line]
        at = np.interp(0, fpr + tpr - 1, fpr)  # where FPR - FNR, which rises, is 0
        assert rate == pytest.approx(at, abs=1e-12)


@given(tables(), st.integers(0, 12))
def test_decision_figures_equal_sklearn(table: tuple[Any, Any, Any], step: int) -> None:
    label, score, weight = table
    called_fake = score >= step / 12
    counts = figures.confusion(label, called_fake, weight[None])
    functions = [
        (figures.accuracy, sk.accuracy_score),
        (figures.balanced_accuracy, sk.balanced_accuracy_score),
        (figures.recall, sk.recall_score),
        (figures.f1, sk.f1_score),
    ]
    for ours, theirs in functions:
        assert ours(counts)[0] == pytest.approx(theirs(label, called_fake, sample_weight=weight), abs=1e-12)
    expected = sk.recall_score(label, called_fake, sample_weight=weight, pos_label=0)
    assert figures.specificity(counts)[0] == pytest.approx(expected, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.precision_score(label, called_fake, sample_weight=weight, zero_division=np.nan)
    assert figures.precision(counts)[0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(tables())
def test_probability_figures(table: tuple[Any, Any, Any]) -> None:
    label, score, weight = table
    expected = sk.brier_score_loss(label, score, sample_weight=weight)
    assert figures.brier(label, score, weight[None])[0] == pytest.approx(expected, abs=1e-12)
    gap = 0.0
    for each in range(figures.ECE_BINS):
        inside = figures.bin_of(score) == each
        if weight[inside].sum():
            share, mean = (np.average(values[inside], weights=weight[inside]) for values in (label, score))
            gap += weight[inside].sum() * abs(share - mean)
    assert figures.ece(label, score, weight[None])[0] == pytest.approx(gap / weight.sum(), abs=1e-12)


def test_bins_cover_the_ends() -> None:
    assert figures.bin_of(np.array([0.0, 0.0666, 0.0667, 1.0])).tolist() == [0, 0, 1, 14]


def test_the_order_of_tied_rows_does_not_matter() -> None:
    label, score = np.array([0, 1, 1, 0]), np.full(4, 0.3)
    roc = curve(label, score, np.ones(4))
    assert figures.auroc(roc)[0] == 0.5
    assert figures.average_precision(roc)[0] == 0.5
    assert figures.eer(roc)[0] == 0.5
    assert figures.tpr_at_fpr(roc, 0.05)[0] == 0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_nan_not_a_made_up_number(label: int) -> None:
    roc = curve(np.full(5, label), np.arange(5.0), np.ones(5))
    ranked = [figures.auroc, figures.average_precision, figures.eer, lambda c: figures.tpr_at_fpr(c, 0.05)]
    for rank in ranked:
        assert np.isnan(rank(roc)).all()
    counts = figures.confusion(np.full(5, label), np.zeros(5, dtype=bool), np.ones((1, 5)))
    assert np.isnan(figures.balanced_accuracy(counts)[0])
    assert np.isnan(figures.precision(counts)[0])


def test_no_rows_give_nan() -> None:
    roc = curve(np.array([], dtype=int), np.array([]), np.array([]))
    assert np.isnan(figures.auroc(roc)).all() and np.isnan(figures.eer(roc)).all()
