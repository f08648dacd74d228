import numpy as np
import pytest

from dfd.evaluation.kid import kernel_distance, kid_figure


def features(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(rows, 16)) + shift).astype(np.float32)


def mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased squared MMD with the kernel (x y / d + 1)^3, from its definition."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(float) @ b.T.astype(float) / a.shape[1] + 1) ** 3

    within = []
    for each in (real, fake):
        table = kernel(each, each)
        within.append((table.sum() - np.trace(table)) / (len(each) * (len(each) - 1)))
    return float(sum(within) - 2 * kernel(real, fake).mean())


def test_the_mean_over_subsets_is_the_distance_of_the_whole() -> None:
    real, fake = features(400, 0), features(300, 1, shift=0.3)
    figure = kid_figure(real, fake, 200, 100, 0)
    assert figure["value"] == pytest.approx(mmd(real, fake), rel=0.05)
    assert figure["low"] < mmd(real, fake) < figure["high"]
    assert (figure["n"], figure["n_real"], figure["subset_size"]) == (300, 400, 100)


def test_subsets_have_at_most_half_of_the_rows_so_that_they_differ() -> None:
    figure = kid_figure(features(60, 0), features(50, 1, shift=0.3), 50, 1000, 0)
    assert figure["subset_size"] == 25
    assert figure["high"] - figure["low"] > 0.1 * figure["value"]


def test_the_interval_holds_the_true_distance() -> None:
    truth = np.mean([mmd(features(2000, 2 * seed), features(2000, 2 * seed + 1, 0.3)) for seed in (500, 501, 502)])
    found = [kid_figure(features(80, 2 * seed), features(100, 2 * seed + 1, 0.3), 40, 1000, 0) for seed in range(150)]
    held = np.mean([figure["low"] <= truth <= figure["high"] for figure in found])
    spread = np.std([figure["value"] for figure in found])
    widths = np.mean([(figure["high"] - figure["low"]) / 2 / 1.96 for figure in found])
    assert held >= 0.9
    assert widths == pytest.approx(spread, rel=0.35)


def test_equal_populations_are_at_zero_and_the_seed_decides_the_subsets() -> None:
    real, fake = features(200, 0), features(200, 1)
    figure = kid_figure(real, fake, 50, 1000, 0)
    assert figure["low"] < 0 < figure["high"]
    assert kid_figure(real, fake, 50, 1000, 0) == figure
    assert kid_figure(real, fake, 50, 1000, 1)["value"] != figure["value"]


def test_too_few_rows_give_no_made_up_number() -> None:
    figure = kid_figure(features(3, 0), features(50, 1), 10, 1000, 0)
    assert figure["value"] is None and "3 images are too few" in figure["reason"]
    with pytest.raises(ValueError, match="3 rows"):
        kernel_distance(features(3, 0), features(50, 1), 10, 1000, 0)
