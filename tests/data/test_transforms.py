import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dfd.config import AugmentConfig
from dfd.data.transforms import FILTERS, Augmentation, Preprocessing, crop_at, pad_to, resized
from dfd.errors import UserError
from tests.factories import tiny_preprocessing

sides = st.integers(1, 90)
EVERYTHING = AugmentConfig(
    name="all", flip=0.5, crop=0.5, rotate=0.5, color=0.5, jpeg=0.5, webp=0.5, downscale=0.5, blur=0.5, noise=0.5
)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(sides, sides, st.sampled_from(["resize", "crop"]))
def test_every_image_becomes_the_input_size(height: int, width: int, fit: str) -> None:
    result = tiny_preprocessing(fit=fit)(picture(height, width))
    assert result.shape == (32, 32, 3)
    assert result.dtype == np.uint8


# In upright images torch begins with the columns, Pillow with the rows, and overshoot is cut differently.
both_grow = st.tuples(st.integers(1, 31), st.integers(1, 31)).map(sorted)
both_shrink = st.tuples(st.integers(32, 90), st.integers(32, 90)).map(sorted)


@given(both_grow | both_shrink, st.sampled_from(["bilinear", "bicubic"]))
def test_resizing_is_pillows_but_for_rounding(height_and_width: list[int], interpolation: str) -> None:
    image = picture(*height_and_width)
    image.setflags(write=False)  # as decoded images are
    expected = Image.fromarray(image).resize((32, 32), FILTERS[interpolation])
    given = resized(image, 32, interpolation)
    assert np.abs(given.astype(int) - np.asarray(expected)).max() <= 2


def test_an_image_of_the_input_size_is_not_touched() -> None:
    image = picture(32, 32)
    for fit in ("resize", "crop"):
        assert np.array_equal(tiny_preprocessing(fit=fit)(image), image)


def test_crop_keeps_pixels_at_native_resolution() -> None:
    image = picture(50, 60)
    assert np.array_equal(tiny_preprocessing(fit="crop")(image), image[9:41, 14:46])


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    assert tiny_preprocessing()(stripes).std() < 8


@given(sides, sides, st.floats(0, 1), st.floats(0, 1))
def test_crop_stays_inside(height: int, width: int, down: float, right: float) -> None:
    padded = pad_to(picture(height, width), 16)
    assert crop_at(padded, 16, 16, (down, right)).shape == (16, 16, 3)


def test_preprocessing_survives_the_round_trip_to_a_bundle() -> None:
    made = tiny_preprocessing(mean=(0.1, 0.2, 0.3))
    assert Preprocessing.from_dict(made.to_dict()) == made


@pytest.mark.parametrize("change", [{"fit": "stretch"}, {"size": 0}, {"interpolation": "magic"}, {"other": 1}])
def test_preprocessing_of_a_damaged_bundle_is_refused(change: dict) -> None:
    with pytest.raises(UserError, match="preprocessing"):
        Preprocessing.from_dict({**tiny_preprocessing().to_dict(), **change})


@given(st.integers(0, 2**62), sides, sides)
def test_augmentation_depends_on_image_and_seed_alone(seed: int, height: int, width: int) -> None:
    augmentation, image = Augmentation(EVERYTHING), picture(height, width)
    first = augmentation(image, seed)
    augmentation(picture(9, 9), seed + 1)  # what came between must not matter
    assert np.array_equal(augmentation(image, seed), first)
    assert first.dtype == np.uint8 and first.ndim == 3


def test_augmentation_differs_between_seeds() -> None:
    augmentation, image = Augmentation(EVERYTHING), picture(48, 48)
    assert len({augmentation(image, seed).tobytes() for seed in range(20)}) > 15


def test_transforms_are_drawn_independently() -> None:
    """Half of all images mirrored, half made brighter or darker, and a quarter both."""
    augmentation = Augmentation(AugmentConfig(name="x", flip=0.5, color=0.5))
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :16] = 120
    results = [augmentation(image, seed) for seed in range(400)]
    flipped = np.array([result[0, 0].max() < result[0, -1].max() for result in results])
    colored = np.array([set(np.unique(result)) != {0, 120} for result in results])
    assert 0.4 < flipped.mean() < 0.6 and 0.4 < colored.mean() < 0.6
    assert 0.18 < (flipped & colored).mean() < 0.32


def test_no_augmentation_changes_nothing() -> None:
    image = picture(48, 40)
    assert np.array_equal(Augmentation(AugmentConfig(name="none"))(image, 3), image)
    assert AugmentConfig(name="none").is_none()
    assert not EVERYTHING.is_none()


def test_crop_keeps_the_share_of_the_area_that_was_asked_for() -> None:
    augmentation = Augmentation(AugmentConfig(name="crop", crop=1.0, crop_scale=0.5))
    areas = [np.prod(augmentation(picture(100, 100), seed).shape[:2]) / 1e4 for seed in range(200)]
    assert 0.4 < min(areas) < 0.6 and max(areas) > 0.85


def test_quality_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match="quality_low=90 is above"):
        Augmentation(AugmentConfig(name="x", jpeg=1, quality_low=90, quality_high=30))
