"""Simulation: 95% intervals hold the truth 93 to 97 times in 100, also when images depend on each other.

The seeds are fixed: the shares below are what they are on every run, and 93 to 97 is what is asked of them.
"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from dfd.evaluation import figures, intervals
from dfd.evaluation.delong import delong
from dfd.evaluation.paired import Scored, bootstrap, difference

SIMULATIONS = 800
SEPARATION = 1.8


def auroc_of(separation: float) -> float:
    """True AUROC of two normal distributions with unit variance."""
    return float(norm.cdf(separation / np.sqrt(2)))


def noise(generator: np.random.Generator, groups: int, images: int) -> Any:
    """Unit variance, of which the images of a group share 60%."""
    shared = np.repeat(generator.normal(size=groups), images)
    return np.sqrt(0.6) * shared + np.sqrt(0.4) * generator.normal(size=groups * images)


def coverage(groups: int, images: int, known_groups: bool = True) -> float:
    """Share of simulated test sets whose AUROC interval holds the truth."""
    held = 0
    for seed in range(SIMULATIONS):
        label = np.repeat(np.arange(groups) % 2, images)
        score = SEPARATION * label + noise(np.random.default_rng(seed), groups, images)
        group = np.repeat(np.arange(groups), images) if known_groups else np.arange(len(label))
        ordered = figures.order(score)
        value = float(figures.auroc(figures.curve(label, ordered, np.ones((1, len(label)))))[0])
        drawn = intervals.resamples(label, group, 200, seed)
        resampled = np.concatenate([figures.auroc(figures.curve(label, ordered, weights)) for weights in drawn])
        found = intervals.score_interval(value, resampled, len(label), groups)
        held += found.low <= auroc_of(SEPARATION) <= found.high
    return held / SIMULATIONS


def paired_coverage(groups: int, images: int, gain: float, by_delong: bool = False) -> tuple[float, float]:
    """Shares of simulated pairs of detectors whose AUROC difference is held by its interval, and called real."""
    truth = auroc_of(SEPARATION + gain) - auroc_of(SEPARATION)
    held = real = 0
    for seed in range(SIMULATIONS):
        generator = np.random.default_rng(seed)
        label = np.repeat(np.arange(groups) % 2, images)
        common, *own = (np.sqrt(0.5) * noise(generator, groups, images) for _ in range(3))
        scores = [
            strength * label + common + part
            for strength, part in zip((SEPARATION + gain, SEPARATION), own, strict=True)
        ]
        if by_delong:
            found = difference(*delong(label, scores[0], scores[1]), groups // 2, "DeLong")
        else:
            pair = [Scored(score, norm.cdf(score), score > 0.9) for score in scores]
            found = bootstrap(label, np.repeat(np.arange(groups), images), pair[0], pair[1], 100, seed)["auroc"]
        held += found.low <= truth <= found.high
        real += found.p < 0.05
    return held / SIMULATIONS, real / SIMULATIONS


def test_auroc_intervals_cover_the_truth() -> None:
    assert 0.93 <= coverage(groups=160, images=1) <= 0.97


def test_dependent_images_need_their_groups() -> None:
    assert 0.93 <= coverage(groups=80, images=4) <= 0.97
    assert coverage(groups=80, images=4, known_groups=False) < 0.86


@pytest.mark.parametrize(("groups", "images"), [(160, 1), (60, 4)])
def test_paired_bootstrap_covers_the_true_difference(groups: int, images: int) -> None:
    held, _ = paired_coverage(groups, images, gain=0.4)
    assert 0.93 <= held <= 0.97


def test_delong_covers_the_true_difference() -> None:
    held, _ = paired_coverage(120, 1, gain=0.4, by_delong=True)
    assert 0.93 <= held <= 0.97


def test_equal_detectors_are_called_different_five_times_in_a_hundred() -> None:
    _, real = paired_coverage(60, 4, gain=0.0)
    assert 0.03 <= real <= 0.07
    _, mistaken = paired_coverage(60, 4, gain=0.0, by_delong=True)
    assert mistaken > 0.09  # takes four images of a group for four pieces of evidence
