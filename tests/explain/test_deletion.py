import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.explain.baseline import blurred
from dfd.explain.deletion import STEPS, curves_of, step_of
from dfd.explain.floors import noise, smooth

SIDE, BATCH = 40, 16


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def corner_intact(image: np.ndarray):
    """An answer that is the share of unchanged pixels in the upper left quarter."""

    def ask(copies: np.ndarray) -> np.ndarray:
        same = (copies == image).all(axis=3)[:, : SIDE // 2, : SIDE // 2]
        return same.mean(axis=(1, 2))

    return ask


def test_the_right_map_is_best_and_its_opposite_worst(image: np.ndarray) -> None:
    right = np.zeros((SIDE, SIDE))
    right[: SIDE // 2, : SIDE // 2] = 1
    maps = [right, noise(SIDE, SIDE, 0), smooth(SIDE, SIDE, 0), -right]
    best, random, soft, worst = curves_of(image, maps, corner_intact(image), 0, BATCH)
    for found in (random, soft):
        assert best.deletion_auc < found.deletion_auc < worst.deletion_auc
        assert best.insertion_auc > found.insertion_auc > worst.insertion_auc
    assert best.deletion_auc == pytest.approx(0.125, abs=0.02)  # gone after a quarter of the pixels
    assert random.deletion_auc == pytest.approx(0.5, abs=0.02)


def test_curves_begin_and_end_with_the_picture_and_the_blurred_one(image: np.ndarray) -> None:
    (found,) = curves_of(image, [noise(SIDE, SIDE, 0)], corner_intact(image), 0, BATCH)
    assert len(found.deletion) == len(found.insertion) == STEPS + 1
    assert found.deletion[0] == found.insertion[-1] == 1
    assert found.deletion[-1] == found.insertion[0] < 0.05


@pytest.mark.parametrize("batch_size", [1, 7, 24, 48, 100])
def test_copies_are_made_in_parts_with_the_same_curves(image: np.ndarray, batch_size: int) -> None:
    asked = []

    def ask(copies: np.ndarray) -> np.ndarray:
        asked.append(len(copies))
        return copies.mean(axis=(1, 2, 3)) + copies[:, 3, 5, 1]

    maps, soft = [noise(SIDE, SIDE, 0), smooth(SIDE, SIDE, 0)], blurred(image)
    found = curves_of(image, maps, ask, 3, batch_size)
    assert max(asked[1:]) <= batch_size  # the first is the picture and the blurred one
    for number, (values, one) in enumerate(zip(maps, found, strict=True)):
        changed = step_of(values, 3 + number)[None] <= np.arange(STEPS + 1)[:, None, None]
        assert np.array_equal(one.deletion, ask(np.where(changed[..., None], soft, image)))
        assert np.array_equal(one.insertion, ask(np.where(changed[..., None], image, soft)))


@given(st.integers(5, 30), st.integers(5, 30), st.integers(0, 9))
def test_the_highest_go_first_and_each_step_has_as_many(height: int, width: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(height, width))
    values[0] = np.nan
    step = step_of(values, seed)
    assert step.min() == 1 and step.max() == STEPS
    assert np.ptp(np.bincount(step.ravel(), minlength=STEPS + 1)[1:]) <= 1
    known, unknown = step[1:], step[0]
    assert known.max() <= unknown.min()
    assert (np.diff(known.ravel()[np.argsort(-values[1:].ravel())]) >= 0).all()


def test_equal_values_go_in_random_order() -> None:
    first, second = (step_of(np.zeros((20, 20)), seed) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert abs(np.corrcoef(first.ravel(), np.arange(400))[0, 1]) < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (700, 400)])
def test_a_blurred_picture_keeps_its_colours_and_loses_its_detail(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    soft = blurred(image)
    assert soft.shape == image.shape and soft.dtype == np.uint8
    assert np.abs(soft.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 10
    assert soft.std() <= image.std() / (4 if min(shape) > 50 else 1)
