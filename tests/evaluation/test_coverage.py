"""Simulation: 95% intervals hold the truth about 95 times in 100, also when images depend on each other."""

import numpy as np
from scipy.stats import norm

from dfd.evaluation import figures, intervals

SIMULATIONS = 250
SEPARATION = 1.8
TRUTH = norm.cdf(SEPARATION / np.sqrt(2))  # AUROC of two normal distributions


def coverage(groups: int, images: int, known_groups: bool = True) -> float:
    """Share of simulated test sets whose AUROC interval holds the truth.

    Each has `groups` groups of `images` images that share 60% of their variance.
    """
    held = 0
    for seed in range(SIMULATIONS):
        generator = np.random.default_rng(seed)
        label = np.repeat(np.arange(groups) % 2, images)
        shared = np.repeat(generator.normal(size=groups), images)
        score = SEPARATION * label + np.sqrt(0.6) * shared + np.sqrt(0.4) * generator.normal(size=len(label))
        group = np.repeat(np.arange(groups), images) if known_groups else np.arange(len(label))
        ordered = figures.order(score)
        value = float(figures.auroc(figures.curve(label, ordered, np.ones((1, len(label)))))[0])
        drawn = intervals.resamples(label, group, 200, seed)
        resampled = np.concatenate([figures.auroc(figures.curve(label, ordered, weights)) for weights in drawn])
        found = intervals.score_interval(value, resampled, len(label), groups)
        held += found.low <= TRUTH <= found.high
    return held / SIMULATIONS


def test_auroc_intervals_cover_the_truth() -> None:
    # With 250 simulations the measured share strays by 0.014; three times that around 0.93 to 0.97.
    assert 0.90 <= coverage(groups=160, images=1) <= 0.995


def test_dependent_images_need_their_groups() -> None:
    assert 0.88 <= coverage(groups=80, images=4) <= 0.995
    assert coverage(groups=80, images=4, known_groups=False) < 0.86
