import numpy as np
import pytest

from dfd.evaluation import nearest as module
from dfd.evaluation.nearest import Beside, diversity_figure, memorisation, nearest


def features(rows: int, seed: int, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def test_it_finds_the_nearest_row_whatever_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, among = features(50, 0), features(70, 1)
    table = np.linalg.norm(queries[:, None] - among, axis=2)
    for cells in (2**24, 200):
        monkeypatch.setattr(module, "CELLS", cells)
        found = nearest(queries, among)
        np.testing.assert_array_equal(found.row, table.argmin(axis=1))
        np.testing.assert_allclose(found.distance, table.min(axis=1), rtol=1e-5)


def test_a_row_is_not_its_own_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", 200)
    rows = np.concatenate([features(40, 0), features(1, 0)])  # the last is the first once more
    found = nearest(rows, rows, itself=True)
    assert (found.row != np.arange(41)).all()
    assert found.row[40] == 0 and found.row[0] == 40 and found.distance[0] == 0


def test_a_copy_is_at_distance_0_far_from_the_origin() -> None:
    among = features(30, 0) + 1000
    assert nearest(among[:5], among).distance.max() == 0


def test_copies_of_training_images_are_told() -> None:
    training, held_out, fresh = features(500, 0), features(400, 1), features(300, 2)
    away = nearest(held_out, training).distance
    honest = memorisation(nearest(fresh, training).distance, away)
    assert honest["very_close"]["low"] <= honest["expected"] <= honest["very_close"]["high"]
    assert honest["closer"]["low"] < 0.5 < honest["closer"]["high"]
    copies = training[:100] + 0.01 * features(100, 3)
    caught = memorisation(nearest(np.concatenate([fresh[:200], copies]), training).distance, away)
    assert caught["very_close"]["value"] == pytest.approx(1 / 3, abs=0.02)
    assert caught["p"] < 1e-6
    assert honest["p"] > 0.05
    assert caught["closer"]["low"] > 0.5
    assert caught["median"]["samples"] < caught["median"]["held_out"]


def test_a_lack_of_variety_is_no_copying() -> None:
    """Samples from the middle are closer to training images than held-out reals are, and to held-out reals as well."""
    training, held_out = features(400, 0), features(200, 1)
    away = nearest(held_out, training).distance

    def judged(samples: np.ndarray) -> dict:
        beside = Beside(nearest(samples, held_out).distance, 400 / 600)
        return memorisation(nearest(samples, training).distance, away, beside)

    dull = judged(0.3 * features(300, 2))
    assert dull["p"] < 0.001
    assert dull["to_training"]["low"] < 2 / 3 < dull["to_training"]["high"]
    assert dull["to_training"]["p"] > 0.05
    copied = judged(training[:50] + 0.01 * features(50, 3))
    assert copied["to_training"]["value"] == 1 and copied["to_training"]["p"] < 1e-6
    far = judged(features(20, 4) + 100)
    assert far["to_training"]["value"] is None and "none is very close" in far["to_training"]["reason"]


def test_few_held_out_images_expect_more_samples_to_be_very_close() -> None:
    """The nearest of 9 is beaten by one in ten, not in a hundred."""
    draw = np.random.default_rng(0).random
    found = [memorisation(draw(100), draw(9)) for _ in range(300)]
    assert found[0]["expected"] == pytest.approx(0.1)
    assert np.mean([each["very_close"]["value"] for each in found]) == pytest.approx(0.1, abs=0.02)
    for level in (0.05, 0.2, 0.5):  # as many false alarms as p says, and not more
        assert np.mean([each["p"] <= level for each in found]) == pytest.approx(level, abs=0.06)


def test_p_is_the_share_of_orders_with_as_many_samples_in_front() -> None:
    """One of two orders has the sample in front of the held-out real; one of three has both samples."""
    assert memorisation(np.array([0.1]), np.array([0.5]))["p"] == pytest.approx(1 / 2)
    assert memorisation(np.array([0.1, 0.2]), np.array([0.5]))["p"] == pytest.approx(1 / 3)
    assert memorisation(np.array([0.7]), np.array([0.5]))["p"] == 1


def test_diversity_is_a_ratio_of_mean_distances() -> None:
    real = features(300, 0)
    fake = 0.5 * features(400, 1)
    pairs = [np.linalg.norm(each[:, None] - each, axis=2).sum() / len(each) / (len(each) - 1) for each in (real, fake)]
    figure = diversity_figure(real, fake, 0)
    assert figure["value"] == pytest.approx(pairs[1] / pairs[0], rel=1e-6)
    assert figure["low"] < 0.5 < figure["high"] < 0.6
    assert diversity_figure(real, np.ones_like(real), 0)["value"] == pytest.approx(0, abs=1e-6)
    assert diversity_figure(np.ones_like(real), real, 0)["value"] is None


def test_diversitys_interval_holds_the_truth() -> None:
    found = [diversity_figure(features(60, 2 * seed), features(60, 2 * seed + 1), 0) for seed in range(200)]
    assert np.mean([figure["low"] <= 1 <= figure["high"] for figure in found]) >= 0.91
    spread = np.std([figure["value"] for figure in found])
    assert np.mean([figure["high"] - figure["low"] for figure in found]) / 3.92 == pytest.approx(spread, rel=0.25)
