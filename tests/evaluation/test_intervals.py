"""What is drawn in a resample, and what an interval is where a bootstrap alone would mislead."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dfd.evaluation import intervals


def drawn(label: list[int], group: list[int], count: int = 50) -> np.ndarray:
    return np.concatenate(list(intervals.resamples(np.array(label), np.array(group), count, seed=1)))


def test_images_of_a_group_are_drawn_together() -> None:
    weights = drawn([0, 0, 0, 1, 1, 1], [7, 7, 3, 9, 9, 4])
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 4]).all()
    assert len(np.unique(weights[:, 0])) > 1


def test_each_class_keeps_its_number_of_groups() -> None:
    weights = drawn([0] * 3 + [1] * 5, list(range(8)))
    assert (weights[:, :3].sum(axis=1) == 3).all() and (weights[:, 3:].sum(axis=1) == 5).all()


def test_groups_of_both_classes_are_drawn_among_themselves() -> None:
    weights = drawn([0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 3])  # two mixed groups, one of reals, one of fakes
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 4:] == 1).all()


def test_every_group_is_drawn_once_on_average() -> None:
    weights = drawn([0, 1] * 20, list(range(40)), count=4000)
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.08
    assert weights.var(axis=0).mean() == pytest.approx(1 - 1 / 20, abs=0.03)


def test_resamples_do_not_depend_on_how_they_are_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    label, group = [0, 1, 1] * 4, list(range(12))
    whole = drawn(label, group)
    monkeypatch.setattr(intervals, "CELLS", 40)
    assert (drawn(label, group) == whole).all()


def test_parts_are_small() -> None:
    label = np.arange(20_000) % 2
    first = next(intervals.resamples(label, np.arange(20_000), 1000, seed=0))
    assert first.nbytes <= 8 * 2**20


@pytest.mark.parametrize(("right", "n"), [(0, 5), (50, 50), (3, 17), (1, 1)])
def test_wilson_equals_scipy(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert intervals.wilson(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_score_interval_of_independent_rows_is_wilsons() -> None:
    right = np.arange(200) < 150
    weights = np.random.default_rng(0).multinomial(200, [1 / 200] * 200, size=4000)
    found = intervals.score_interval(0.75, weights @ right / 200, rows=200, groups=200)
    assert (found.low, found.high) == pytest.approx(intervals.wilson(0.75, 200), abs=0.004)


def test_score_interval_widens_with_dependence() -> None:
    found = intervals.score_interval(0.5, np.array([0.3, 0.7] * 50), rows=1000, groups=6)  # variance 0.04: 6.25 rows
    assert (found.low, found.high) == pytest.approx(intervals.wilson(0.5, 6.25))


def test_all_right_does_not_claim_certainty() -> None:
    score = intervals.score_interval(1.0, np.ones(100), rows=50, groups=25)
    assert (score.low, score.high) == intervals.wilson(1.0, 25)
    percentile = intervals.percentile_interval(0.0, np.zeros(100), groups=25)
    assert percentile.low == 0 and percentile.high == pytest.approx(intervals.wilson(0.0, 25)[1])


def test_undefined_resamples_are_left_out_and_counted() -> None:
    resampled = np.array([np.nan] * 10 + list(np.linspace(0, 1, 101)))
    found = intervals.percentile_interval(0.5, resampled, groups=10)
    assert found.left_out == 10
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    found = intervals.score_interval(0.5, np.full(10, np.nan), rows=8, groups=8)
    assert found.left_out == 10 and (found.low, found.high) == intervals.wilson(0.5, 8)


def test_excess_interval_reaches_zero_when_chance_explains_the_figure() -> None:
    chance = np.linspace(0, 0.1, 101)
    assert intervals.excess_interval(0.05, np.array([0.04, 0.08]), chance).low == 0
    found = intervals.excess_interval(0.3, np.array([0.28, 0.33]), chance)
    assert found.low == pytest.approx(0.3 - 0.095) and 0.3 < found.high < 0.33


def test_calibrated_labels_follow_the_probabilities_and_share_luck_in_a_group() -> None:
    prob, group = np.array([0.2, 0.2, 0.9]), np.array([5, 5, 1])
    label = np.concatenate(list(intervals.calibrated_labels(prob, group, 4000, seed=0)))
    assert label.mean(axis=0) == pytest.approx(prob, abs=0.03)
    assert (label[:, 0] == label[:, 1]).all()
