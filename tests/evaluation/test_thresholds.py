"""Threshold and band are the best there are, against brute force over every cut."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from dfd.config import CalibrationConfig
from dfd.evaluation.scaling import BELOW_ONE
from dfd.evaluation.thresholds import choose_threshold, cuts, unsure_band


@st.composite
def scored(draw: st.DrawFn) -> tuple[Any, Any]:
    """Probabilities with ties, 0 and almost 1 among them, and labels of both classes."""
    n = draw(st.integers(2, 14))
    prob = np.array(draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))) / 10
    label = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    return np.minimum(prob, BELOW_ONE), label


def alarms(label: Any, called: Any) -> int:
    return int((called & (label == 0)).sum())


def misses(label: Any, called: Any) -> int:
    return int((~called & (label == 1)).sum())


def best_by(merit: Callable[[Any, Any], Any], prob: Any, label: Any) -> float:
    """The cut of highest merit, by trying all; among equals the nearest to 0.5."""
    merits = [(merit(label, prob >= at), at) for at in cuts(prob)]
    best = max(value for value, _ in merits)
    return min((at for value, at in merits if value == best), key=lambda at: abs(at - 0.5))


@given(scored())
def test_balanced(table: tuple[Any, Any]) -> None:
    prob, label = table
    merit = lambda *args: round(2 * balanced_accuracy_score(*args) - 1, 10)  # noqa: E731
    best = best_by(merit, prob, label)

    def as_good(at: float) -> bool:
        called, other = prob >= at, prob >= best
        differs = called != other
        error = sum(differs[label == kind].sum() / (label == kind).sum() ** 2 for kind in (0, 1)) ** 0.5
        lost = merit(label, other) - merit(label, called)
        return bool(lost == 0 or lost < error - 1e-9)

    expected = min(filter(as_good, cuts(prob)), key=lambda at: abs(at - 0.5))
    assert choose_threshold(prob, label, CalibrationConfig()) == expected


def balanced(label: Any, called: Any) -> float:
    return round(float(called[label == 1].mean() + (~called[label == 0]).mean()) / 2, 10)


def test_chance_does_not_move_the_threshold() -> None:
    """Calibrated probabilities are decided best at 0.5; the cut that happens to be best on 300 rows is elsewhere."""
    generator = np.random.default_rng(0)
    found, best = [], []
    for _ in range(40):
        prob = generator.beta(0.7, 0.7, 300)
        label = (generator.random(300) < prob).astype(int)
        found.append(choose_threshold(prob, label, CalibrationConfig()))
        best.append(best_by(balanced, prob, label))
    assert np.std(found) < 0.5 * np.std(best)


def test_a_threshold_that_is_clearly_better_is_taken() -> None:
    label = np.arange(400) % 2
    prob = np.where(label == 1, 0.9, 0.7) + np.random.default_rng(0).normal(0, 0.03, 400)
    assert 0.75 < choose_threshold(np.minimum(prob, BELOW_ONE), label, CalibrationConfig()) < 0.85


def test_a_bad_threshold_between_two_good_ones_is_not_taken() -> None:
    prob = np.repeat([0.1, 0.6, 0.4, 0.9], [100, 50, 50, 100])
    label = np.repeat([0, 1], 150)
    assert abs(choose_threshold(prob, label, CalibrationConfig()) - 0.5) > 0.2


@given(scored())
def test_f1(table: tuple[Any, Any]) -> None:
    prob, label = table
    merit = lambda *args: round(f1_score(*args), 10)  # noqa: E731
    assert choose_threshold(prob, label, CalibrationConfig(threshold="f1")) == best_by(merit, prob, label)


@given(scored(), st.sampled_from([0.0, 0.05, 0.2, 1 / 3, 1.0]))
def test_fpr(table: tuple[Any, Any], limit: float) -> None:
    prob, label = table
    reals = (label == 0).sum()

    def merit(label: Any, called: Any) -> tuple[bool, int, int]:
        return alarms(label, called) / reals <= limit + 1e-12, -misses(label, called), -alarms(label, called)

    found = choose_threshold(prob, label, CalibrationConfig(threshold="fpr", max_fpr=limit))
    assert found == best_by(merit, prob, label)
    assert alarms(label, prob >= found) <= limit * reals + 1e-9


@pytest.mark.parametrize(("limit", "alarms_allowed"), [(0.01, 2), (0.05, 10), (0.0549, 10)])
def test_fpr_is_a_limit_and_not_a_hint(limit: float, alarms_allowed: int) -> None:
    prob = np.concatenate([np.arange(200), np.arange(200)]) / 400
    label = np.repeat([0, 1], 200)
    found = choose_threshold(prob, label, CalibrationConfig(threshold="fpr", max_fpr=limit))
    assert alarms(label, prob >= found) == alarms_allowed


@given(scored(), st.sampled_from([0.0, 0.5, 1.0, 20.0]))
def test_cost(table: tuple[Any, Any], miss_cost: float) -> None:
    prob, label = table
    found = choose_threshold(prob, label, CalibrationConfig(threshold="cost", miss_cost=miss_cost))
    assert found == best_by(lambda *args: -(alarms(*args) + miss_cost * misses(*args)), prob, label)


@pytest.mark.parametrize(("miss_cost", "side"), [(0.05, 1), (20.0, -1)])
def test_dear_misses_lower_the_threshold(miss_cost: float, side: int) -> None:
    generator = np.random.default_rng(0)
    label = np.arange(400) % 2
    prob = np.clip(generator.normal(0.4 + 0.2 * label, 0.15), 0, BELOW_ONE)
    found = choose_threshold(prob, label, CalibrationConfig(threshold="cost", miss_cost=miss_cost))
    assert side * (found - choose_threshold(prob, label, CalibrationConfig(threshold="cost"))) > 0.05


@given(scored(), st.sampled_from([0.0, 0.05, 0.2, 0.4]), st.sampled_from(["balanced", "f1", "fpr", "cost"]))
def test_band_keeps_its_promise_and_is_the_narrowest(table: tuple[Any, Any], unsure_error: float, rule: str) -> None:
    prob, label = table
    threshold = choose_threshold(prob, label, CalibrationConfig(threshold=rule))

    def promise_held(low: float, high: float) -> bool:
        wrong = ((prob < low) & (label == 1)).sum() + ((prob >= high) & (label == 0)).sum()
        return bool(wrong <= unsure_error * ((prob < low) | (prob >= high)).sum() + 1e-9)

    low, high = unsure_band(prob, label, threshold, unsure_error)
    assert low <= threshold <= high and promise_held(low, high)
    ends = np.union1d(cuts(prob), threshold)
    widths = [b - a for a in ends if a <= threshold for b in ends if b >= threshold and promise_held(a, b)]
    assert high - low == pytest.approx(min(widths))
