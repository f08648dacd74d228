"""Calibration keeps the order of the logits; threshold and band are the best there are, against brute force."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, log_loss

from dfd.errors import UserError
from dfd.evaluation.calibration import (
    BELOW_ONE,
    Calibration,
    best_threshold,
    calibrate,
    cuts,
    fit_scale,
    unsure_band,
)

PLAIN = Calibration(1.0, 0.0, 0.5, 0.5, 0.5)


@st.composite
def scored(draw: st.DrawFn) -> tuple[Any, Any]:
    """Probabilities with ties, 0 and almost 1 among them, and labels of both classes."""
    n = draw(st.integers(2, 14))
    prob = np.array(draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))) / 10
    label = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))])
    return np.minimum(prob, BELOW_ONE), label


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.floats(0.01, 100), st.floats(-10, 10))
def test_prob_is_bounded_and_keeps_the_order(logits: list[float], temperature: float, bias: float) -> None:
    prob = Calibration(temperature, bias, 0.5, 0.5, 0.5).prob(np.sort(logits))
    assert ((prob >= 0) & (prob < 1)).all()
    assert (np.diff(prob) >= 0).all()


def test_prob_is_stable_and_keeps_nan() -> None:
    prob = PLAIN.prob([-1e30, -800, 0, 800, 1e30, np.nan])
    assert prob[:5].tolist() == pytest.approx([0, 0, 0.5, 1, 1]) and np.isnan(prob[5])


def test_verdicts_at_the_ends_of_the_band() -> None:
    verdict = Calibration(1.0, 0.0, 0.5, 0.4, 0.6).verdict([0.39, 0.4, 0.5, 0.599, 0.6, np.nan])
    assert verdict.tolist() == ["real", "unsure", "unsure", "unsure", "fake", None]
    assert PLAIN.verdict([0.4999, 0.5]).tolist() == ["real", "fake"]


@given(scored())
def test_threshold_is_optimal_and_nearest_to_half(table: tuple[Any, Any]) -> None:
    prob, label = table
    found = best_threshold(prob, label)
    accuracy = {at: balanced_accuracy_score(label, prob >= at) for at in cuts(prob)}
    best = max(accuracy.values())
    assert accuracy[found] == pytest.approx(best)
    assert abs(found - 0.5) == min(abs(at - 0.5) for at, value in accuracy.items() if value > best - 1e-12)


@given(scored(), st.sampled_from([0.0, 0.05, 0.2, 0.4]))
def test_band_keeps_its_promise_and_is_the_narrowest(table: tuple[Any, Any], unsure_error: float) -> None:
    prob, label = table
    threshold = best_threshold(prob, label)

    def promise_held(low: float, high: float) -> bool:
        wrong = ((prob < low) & (label == 1)).sum() + ((prob >= high) & (label == 0)).sum()
        return bool(wrong <= unsure_error * ((prob < low) | (prob >= high)).sum() + 1e-9)

    low, high = unsure_band(prob, label, threshold, unsure_error)
    assert low <= threshold <= high and promise_held(low, high)
    ends = np.union1d(cuts(prob), threshold)
    widths = [b - a for a in ends if a <= threshold for b in ends if b >= threshold and promise_held(a, b)]
    assert high - low == pytest.approx(min(widths))


def test_no_band_when_the_threshold_alone_keeps_the_promise() -> None:
    found = calibrate([-3, -2, 2, 3], [0, 0, 1, 1], unsure_error=0.0)
    assert found.unsure_low == found.threshold == found.unsure_high


def test_calibration_finds_a_known_scale() -> None:
    generator = np.random.default_rng(0)
    logit = generator.normal(0, 2, 20_000)
    label = (generator.random(20_000) < PLAIN.prob(logit)).astype(int)
    temperature, bias = fit_scale(3 * logit + 5, label)
    assert temperature == pytest.approx(3, rel=0.05) and bias == pytest.approx(-5 / 3, abs=0.05)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_calibration_does_not_depend_on_the_scale_of_the_logits(scale: float) -> None:
    generator = np.random.default_rng(1)
    label = np.arange(400) % 2
    logit = generator.normal(label * 2.0, 1.0)
    prob = calibrate(scale * logit, label, 0.05).prob(scale * logit)
    assert prob == pytest.approx(calibrate(logit, label, 0.05).prob(logit), abs=1e-3)
    assert log_loss(label, prob) < log_loss(label, PLAIN.prob(logit))


def test_separated_classes_get_a_finite_temperature_and_modest_probabilities() -> None:
    found = calibrate([-1.0, -0.9, 0.9, 1.0], [0, 0, 1, 1], 0.05)
    assert 0.1 < found.temperature < 10
    assert found.prob([1.0])[0] < 0.9  # four images prove little
    many = calibrate(np.repeat([-1.0, 1.0], 500), np.repeat([0, 1], 500), 0.05)
    assert 0.99 < many.prob([1.0])[0] < 1


def test_equal_logits_give_the_share_of_fakes() -> None:
    found = calibrate(np.full(40, 7.0), np.arange(40) < 30, 0.05)
    assert found.temperature == 1 and found.prob([7.0])[0] == pytest.approx(0.75, abs=0.03)


def test_a_detector_worse_than_chance_is_not_turned_around() -> None:
    found = calibrate([3.0, 2.0, -2.0, -3.0], [0, 0, 1, 1], 0.05)
    prob = found.prob([-3.0, 3.0])
    assert prob[0] <= prob[1] and prob[1] - prob[0] < 0.02


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30), st.integers(0, 2**30))
def test_calibrate_always_answers(logits: list[float], bits: int) -> None:
    label = np.array([bits >> i & 1 for i in range(len(logits))])
    assume(0 < label.sum() < len(label))
    found = calibrate(logits, label, 0.05)
    verdict = found.verdict(found.prob(logits))
    decided = verdict != "unsure"
    wrong = decided & ((verdict == "fake") != (label == 1))
    assert wrong.sum() <= 0.05 * decided.sum()


@pytest.mark.parametrize(
    ("logit", "label", "words"),
    [
        ([], [], "0 real and 0 fake"),
        ([1.0, 2.0], [1, 1], "0 real and 2 fake"),
        ([1.0, np.nan], [0, 1], "1 of 2 logits"),
        ([1.0, np.inf], [0, 1], "1 of 2 logits"),
        ([1.0, 2.0], [0, -1], "labels 0"),
    ],
)
def test_rows_that_cannot_tell_are_refused(logit: list[float], label: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        calibrate(logit, label, 0.05)


def test_dict_round_trip() -> None:
    found = Calibration(1.5, -0.2, 0.5, 0.3, 0.7)
    assert Calibration.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"bias": "0"},
        {"bias": True},
        {"unsure_low": 0.6},
        {"unsure_high": 1.1},
        {"extra": 1.0},
    ],
)
def test_senseless_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="calibration"):
        Calibration.from_dict(PLAIN.to_dict() | change)


def test_missing_values_are_refused() -> None:
    with pytest.raises(UserError, match="expected"):
        Calibration.from_dict({"temperature": 1.0})
