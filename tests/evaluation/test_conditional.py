"""What a score knows beyond a nuisance score; cases with a known answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from dfd.evaluation.conditional import auroc_within, balancing_weights, conditional_auroc, quantile_strata

SEEDS = st.integers(0, 10_000)


def shortcut(seed: int, n: int = 600, strength: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Labels, and a nuisance score that tells them: AUROC is normal's of strength / sqrt(2)."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.5).astype(int)
    return label, rng.normal(size=n) + strength * label, rng


@settings(max_examples=30)
@given(SEEDS)
def test_constant_nuisance_gives_the_plain_auroc(seed: int) -> None:
    label, score, _ = shortcut(seed, n=80)
    found = conditional_auroc(label, score.round(1), np.full(80, 3.7), np.arange(80), resamples=100)
    assert found["value"] == pytest.approx(roc_auc_score(label, score.round(1)), abs=1e-12)
    assert found["strata"] == 1 and found["dropped_strata"] == 0 and found["residual"] == 0.5


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([0.5, 1.0, 3.0]))
def test_any_rising_function_of_score_or_nuisance_gives_the_same(seed: int, power: float) -> None:
    """Of the nuisance only up to balance within strata, which is small."""
    label, nuisance, rng = shortcut(seed, n=300)
    score = nuisance + rng.normal(size=300)
    first = conditional_auroc(label, score, nuisance, np.arange(300), 10, 100)
    again = conditional_auroc(label, np.exp(power * score), nuisance, np.arange(300), 10, 100)
    bent = conditional_auroc(label, score, np.arctan(nuisance), np.arange(300), 10, 100)
    assert again == first
    assert bent["unbalanced"] == first["unbalanced"] and bent["value"] == pytest.approx(first["value"], abs=0.05)


def coverage(truth: float, follow: float, signal: float, strength: float, simulations: int = 40) -> float:
    held = 0
    for seed in range(simulations):
        label, nuisance, rng = shortcut(seed, strength=strength)
        score = follow * nuisance + rng.normal(size=len(label)) + signal * label
        found = conditional_auroc(label, score, nuisance, np.arange(len(label)), 20, 100, seed)
        held += found["low"] <= truth <= found["high"]
    return held / simulations


@pytest.mark.parametrize("strength", [0.0, 0.95, 2.3])
def test_a_score_that_knows_the_nuisance_alone_is_at_chance(strength: float) -> None:
    # 40 simulations of 95% stray by 0.034; docs/results/audit.md has a larger run.
    assert coverage(0.5, follow=2.0, signal=0.0, strength=strength) >= 0.85


def test_an_added_signal_is_recovered() -> None:
    assert coverage(float(norm.cdf(0.8 / np.sqrt(2))), follow=0.7, signal=0.8, strength=1.5) >= 0.85


def test_strata_alone_would_leave_confounding() -> None:
    """The nuisance score given itself: without balance it would seem to know something."""
    found = [conditional_auroc(y, z, z, np.arange(2000), 20, 100) for y, z, _ in (shortcut(s, 2000) for s in range(5))]
    assert np.mean([each["unbalanced"] for each in found]) > 0.515
    assert np.mean([each["value"] for each in found]) < 0.508
    assert all(each["value"] == each["residual"] for each in found)


def test_equal_nuisance_is_one_stratum_and_heaps_are_handled() -> None:
    stratum = quantile_strata(np.repeat([5.0, 7.0, 9.0], [50, 3, 47]), 20)
    assert len(np.unique(stratum)) == 3 and all(len(set(part)) == 1 for part in np.split(stratum, [50, 53]))
    label = np.arange(100) % 2
    found = conditional_auroc(label, np.ones(100), np.repeat([5.0, 7.0, 9.0], [50, 3, 47]), np.arange(100))
    assert found["value"] == 0.5 and found["low"] < 0.5 < found["high"] and found["strata"] == 3


def test_strata_of_one_class_drop_out_and_are_counted() -> None:
    nuisance = np.repeat([0.0, 1, 2], [40, 60, 30])
    label = np.concatenate([np.zeros(40), np.arange(60) % 2, np.ones(30)]).astype(int)
    found = conditional_auroc(label, label * 1.0, nuisance, np.arange(130), strata=20, resamples=100)
    assert (found["strata"], found["dropped_strata"], found["dropped_rows"]) == (1, 2, 70)
    assert (found["value"], found["n"], found["pairs"]) == (1.0, 60, 900)
    assert found["high"] == 1 and 0.8 < found["low"] < 1


def test_pairs_weigh_alike() -> None:
    """Two strata of 1 x 9 and 5 x 5 pairs, all right and all wrong: the mean over 34 pairs."""
    label = np.array([1] + [0] * 9 + [1] * 5 + [0] * 5)
    score = np.array([1.0] + [0] * 9 + [0] * 5 + [1] * 5)
    stratum = np.repeat([0, 1], 10)
    assert auroc_within(label, score, stratum, np.ones((1, 20)))[0] == pytest.approx(9 / 34)


@settings(max_examples=30)
@given(SEEDS)
def test_weights_count_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label, score, stratum = rng.integers(0, 2, 40), rng.normal(size=40).round(1), rng.integers(0, 3, 40)
    times = rng.integers(0, 3, 40)
    weighted = auroc_within(label, score, stratum, times[None, :].astype(float))
    repeated = auroc_within(*(np.repeat(each, times) for each in (label, score, stratum)), np.ones((1, times.sum())))
    assert weighted == pytest.approx(repeated, nan_ok=True)


def test_balance_makes_the_means_equal() -> None:
    label, nuisance, _ = shortcut(0)
    stratum = quantile_strata(nuisance, 5)
    weights = balancing_weights(label, nuisance, stratum)
    inner = stratum == 2
    means = [np.average(nuisance[inner & (label == each)], weights=weights[inner & (label == each)]) for each in (0, 1)]
    before = [nuisance[inner & (label == each)].mean() for each in (0, 1)]
    assert abs(means[1] - means[0]) < 0.35 * abs(before[1] - before[0])


def test_groups_widen_the_interval() -> None:
    label, nuisance, rng = shortcut(2, n=150)
    score = rng.normal(size=150) + label
    four = [np.repeat(each, 4) for each in (label, score, nuisance)]
    apart = conditional_auroc(*four, np.arange(600), 5, 300)
    together = conditional_auroc(*four, np.repeat(np.arange(150), 4), 5, 300)
    assert together["value"] == apart["value"]
    assert together["high"] - together["low"] > 1.5 * (apart["high"] - apart["low"])


def test_what_cannot_be_told_says_why() -> None:
    label = np.repeat([0, 1], 30)
    found = conditional_auroc(label, np.zeros(60), label * 1.0, np.arange(60))
    assert found["value"] is None and "like nuisance score" in found["reason"] and found["dropped_rows"] == 60
    empty = conditional_auroc([], [], [], [])
    assert empty["value"] is None and empty["n"] == 0
    assert conditional_auroc(np.zeros(50), np.zeros(50), np.zeros(50), np.arange(50))["value"] is None


@pytest.mark.parametrize(("score", "nuisance"), [(np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0)])
def test_what_is_no_number_is_refused(score: float, nuisance: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        conditional_auroc([0, 1], [score, 1], [nuisance, 1], [0, 1])


def test_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        conditional_auroc([0, -1], [0, 1], [0, 1], [0, 1])


def test_two_calls_agree() -> None:
    label, nuisance, rng = shortcut(4)
    score = rng.normal(size=len(label)) + label
    first, second = (conditional_auroc(label, score, nuisance, np.arange(len(label)), 20, 200, 7) for _ in range(2))
    assert first == second
