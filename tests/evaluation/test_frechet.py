import numpy as np
import pytest
import torch
from torch_fidelity import metric_fid

from dfd.evaluation.frechet import frechet_distance, frechet_figure


def skewed(rows: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features as networks give them: skewed, above 0, of unequal spread and correlated."""
    mixing = np.random.default_rng(99).normal(size=(width, width)) / np.arange(1, width + 1)
    return np.abs(np.random.default_rng(seed).gamma(1.0, 1.0, (rows, width)) @ mixing) + shift


def of_torch_fidelity(real: np.ndarray, fake: np.ndarray) -> float:
    statistics = [metric_fid.fid_features_to_statistics(torch.as_tensor(each)) for each in (real, fake)]
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[metric_fid.KEY_METRIC_FID]


@pytest.mark.parametrize(("n", "m"), [(300, 200), (20, 30), (20, 300), (5000, 40)])
def test_it_is_torch_fidelitys_value_for_many_and_for_few_rows(n: int, m: int) -> None:
    real, fake = skewed(n, 32, 0), skewed(m, 32, 1, shift=0.3)
    # torch-fidelity takes roots of eigenvalues that are 0 but for rounding, where rows are few.
    assert frechet_distance(real, fake) == pytest.approx(of_torch_fidelity(real, fake), rel=1e-6)
    assert frechet_figure(real, fake)["value"] == pytest.approx(frechet_distance(real, fake), rel=1e-12)


def test_two_gaussians_of_known_moments_have_the_closed_form() -> None:
    unit = np.random.default_rng(0).normal(size=(500, 3))
    unit -= unit.mean(axis=0)
    unit @= np.linalg.inv(np.linalg.cholesky(np.cov(unit, rowvar=False))).T  # mean 0, covariance 1 exactly
    scales, shift = np.array([1.0, 2.0, 5.0]), np.array([3.0, 0.0, -1.0])
    expected = (shift**2).sum() + ((scales - 1) ** 2).sum()
    assert frechet_distance(unit, unit * scales + shift) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("rows", [10, 200])
def test_a_set_is_at_no_distance_from_itself(rows: int) -> None:
    features = skewed(rows, 32, 0)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_figure(np.ones((rows, 4)), np.ones((rows, 4)))["high"] == 0


def test_single_precision_features_lose_nothing_that_shows() -> None:
    real, fake = skewed(200, 32, 0) + 100, skewed(150, 32, 1) + 100
    single = frechet_distance(real.astype(np.float32), fake.astype(np.float32))
    assert single == pytest.approx(frechet_distance(real, fake), rel=1e-4)


@pytest.mark.parametrize(("n", "m"), [(200, 150), (15, 24), (400, 20)])
def test_the_intervals_width_is_the_derivative_by_the_rows_weights(n: int, m: int) -> None:
    """Leave one row out at a time: the jackknife, which the derivatives come close to."""
    real, fake = skewed(n, 24, 0), skewed(m, 24, 1, shift=0.2)
    figure = frechet_figure(real, fake)
    variance = 0.0
    for rows, other in ((real, fake), (fake, real)):
        left_out = np.array([frechet_distance(np.delete(rows, row, axis=0), other) for row in range(len(rows))])
        variance += (len(rows) - 1) ** 2 / len(rows) * left_out.var(ddof=1)
    assert (figure["high"] - figure["value"]) / 1.96 == pytest.approx(np.sqrt(variance), rel=0.25)


def test_the_interval_holds_the_mean_distance_at_this_number_of_rows() -> None:
    sets = [(skewed(100, 64, 2 * seed), skewed(120, 64, 2 * seed + 1, shift=0.2)) for seed in range(120)]
    found = [frechet_figure(real, fake) for real, fake in sets]
    mean = np.mean([figure["value"] for figure in found])
    held = np.mean([figure["low"] <= mean <= figure["high"] for figure in found])
    spread = np.std([figure["value"] for figure in found])
    widths = np.mean([(figure["high"] - figure["low"]) / 2 / 1.96 for figure in found])
    assert held >= 0.92
    assert spread < widths < 2 * spread
    assert (found[0]["n"], found[0]["n_real"]) == (120, 100)


def test_one_row_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="1 row"):
        frechet_distance(np.ones((1, 4)), np.ones((5, 4)))
