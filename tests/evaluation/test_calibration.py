"""Calibration as a whole: what is fitted where, what is refused, what is stored."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from dfd.config import CalibrationConfig
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration, calibrate, cross_calibrate

PLAIN = Calibration(1.0, 0.0, 0.5, 0.5, 0.5)
SETTINGS = CalibrationConfig()
METHODS = ("auto", "temperature", "platt", "isotonic")


def scores(n: int = 400, seed: int = 1) -> tuple[Any, Any]:
    label = np.arange(n) % 2
    return np.random.default_rng(seed).normal(label * 2.0, 1.0), label


def test_verdicts_at_the_ends_of_the_band() -> None:
    verdict = Calibration(1.0, 0.0, 0.5, 0.4, 0.6).verdict([0.39, 0.4, 0.5, 0.599, 0.6, np.nan])
    assert verdict.tolist() == ["real", "unsure", "unsure", "unsure", "fake", None]
    assert PLAIN.verdict([0.4999, 0.5]).tolist() == ["real", "fake"]


@pytest.mark.parametrize("method", METHODS)
def test_calibration_lowers_the_log_loss_and_says_how(method: str) -> None:
    logit, label = scores()
    found = calibrate(5 * logit, label, np.arange(400), CalibrationConfig(method=method))
    assert found.method == ("platt" if method == "auto" else method)
    assert bool(found.knots) == (method == "isotonic")
    assert log_loss(label, found.prob(5 * logit)) < log_loss(label, PLAIN.prob(5 * logit))
    assert found.prob([np.nan, 3.0]).shape == (2,) and np.isnan(found.prob(np.nan))


def test_no_band_when_the_threshold_alone_keeps_the_promise() -> None:
    found = calibrate([-3, -2, 2, 3], [0, 0, 1, 1], [0, 1, 2, 3], CalibrationConfig(unsure_error=0.0))
    assert found.unsure_low == found.threshold == found.unsure_high


@pytest.mark.parametrize("rule", ["balanced", "f1", "fpr", "cost"])
def test_the_threshold_follows_its_rule(rule: str) -> None:
    logit, label = scores()
    settings = CalibrationConfig(threshold=rule, max_fpr=0.01, miss_cost=10.0)
    found = calibrate(logit, label, np.arange(400), settings)
    called = found.prob(logit) >= found.threshold
    fpr, recall = called[label == 0].mean(), called[label == 1].mean()
    expected = {
        "balanced": abs(fpr - (1 - recall)) < 0.1,
        "f1": recall > 0.8,
        "fpr": fpr <= 0.01,
        "cost": recall > 0.95,
    }
    assert expected[rule]
    assert found.unsure_low <= found.threshold <= found.unsure_high


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=30),
    st.integers(0, 2**30),
    st.sampled_from(METHODS),
    st.integers(1, 30),
)
def test_calibrate_always_answers(logits: list[float], bits: int, method: str, groups: int) -> None:
    label = np.array([bits >> i & 1 for i in range(len(logits))])
    assume(0 < label.sum() < len(label))
    found = calibrate(logits, label, np.arange(len(logits)) % groups, CalibrationConfig(method=method))
    verdict = found.verdict(found.prob(logits))
    decided = verdict != "unsure"
    wrong = decided & ((verdict == "fake") != (label == 1))
    assert wrong.sum() <= 0.05 * decided.sum()


def test_calibration_repeats_and_the_order_of_the_rows_does_not_matter() -> None:
    logit, label = scores()
    first = calibrate(logit, label, np.arange(400), SETTINGS)
    assert first == calibrate(logit, label, np.arange(400), SETTINGS)
    shuffled = np.random.default_rng(0).permutation(400)
    other = calibrate(logit[shuffled], label[shuffled], shuffled, SETTINGS)
    assert other.method == first.method and other.temperature == pytest.approx(first.temperature, rel=1e-4)


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
        calibrate(logit, label, np.arange(len(label)), SETTINGS)


def test_columns_of_different_lengths_are_a_bug() -> None:
    with pytest.raises(ValueError, match="one length"):
        calibrate([1.0, 2.0], [0, 1], [0], SETTINGS)


def test_out_of_fold_rows_have_no_say_in_their_own_verdict() -> None:
    logit, label = scores()
    fold = np.arange(400) // 2 % 4
    before = cross_calibrate(logit, label, np.arange(400), fold, SETTINGS)
    own = fold == 2
    turned = np.where(own, 1 - label, label)
    after = cross_calibrate(logit, turned, np.arange(400), fold, SETTINGS)
    for one, other in zip(before, after, strict=True):
        assert (one[own] == other[own]).all() and (one[~own] != other[~own]).any()


def test_each_fold_is_judged_by_the_calibration_of_the_others() -> None:
    logit, label = scores()
    fold = np.arange(400) // 2 % 4
    found = cross_calibrate(logit, label, np.arange(400), fold, SETTINGS)
    own = fold == 1
    others = calibrate(logit[~own], label[~own], np.arange(400)[~own], SETTINGS)
    assert (found.prob[own] == others.prob(logit[own])).all()
    assert set(found.threshold[own]) == {others.threshold} and len(set(found.threshold)) == 4
    assert (found.verdict[own] == others.verdict(others.prob(logit[own]))).all()


def test_scores_of_pure_chance_do_not_look_better_than_chance_out_of_fold() -> None:
    """A threshold that is tuned on its own rows finds something in noise; out of fold it does not."""
    settings = replace(SETTINGS, threshold="cost")  # the very best cut, chance or not
    tuned, honest = [], []
    for seed in range(60):
        logit, label = np.random.default_rng(seed).normal(size=60), np.arange(60) % 2
        found = calibrate(logit, label, np.arange(60), settings)
        tuned.append(((found.prob(logit) >= found.threshold) == label).mean())
        crossed = cross_calibrate(logit, label, np.arange(60), np.arange(60) // 2 % 5, settings)
        honest.append(((crossed.prob >= crossed.threshold) == label).mean())
    assert np.mean(tuned) > 0.55 and np.mean(honest) < 0.52


def test_a_row_without_a_score_gets_no_verdict_out_of_fold() -> None:
    logit, label = scores(40)
    logit[3] = np.nan
    found = cross_calibrate(logit, label, np.arange(40), np.arange(40) // 2 % 2, SETTINGS)
    assert np.isnan(found.prob[3]) and found.verdict[3] is None and np.isfinite(found.threshold).all()
    assert np.isfinite(np.delete(found.prob, 3)).all()


def test_a_group_in_two_folds_is_a_bug() -> None:
    logit, label = scores(40)
    with pytest.raises(ValueError, match="more than one fold"):
        cross_calibrate(logit, label, np.arange(40) // 2, np.arange(40) % 2, SETTINGS)


@pytest.mark.parametrize("method", METHODS)
def test_stored_values_come_back_exactly(method: str) -> None:
    logit, label = scores()
    found = calibrate(logit, label, np.arange(400), CalibrationConfig(method=method))
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    again = Calibration.from_dict(yaml.safe_load(yaml.safe_dump(found.to_dict())))
    assert again == found and (again.prob(logit) == found.prob(logit)).all()


def test_a_calibration_from_before_there_were_methods_is_platts() -> None:
    old = {"temperature": 1.5, "bias": -0.2, "threshold": 0.5, "unsure_low": 0.3, "unsure_high": 0.7}
    assert Calibration.from_dict(old) == Calibration(1.5, -0.2, 0.5, 0.3, 0.7, "platt")


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
        {"method": "beta"},
        {"method": None},
        {"knots": 3},
        {"knots": [[0.0, 0.5, 1.0]]},
        {"knots": [["x", 0.5]]},
        {"method": "isotonic", "knots": [[0.0, 0.5], [-1.0, 0.6]]},
    ],
)
def test_senseless_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="calibration"):
        Calibration.from_dict(PLAIN.to_dict() | change)


def test_missing_values_are_refused() -> None:
    with pytest.raises(UserError, match="expected"):
        Calibration.from_dict({"temperature": 1.0})
