from dataclasses import asdict, fields

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from dfd.config import ChangesConfig, RobustnessConfig, check
from dfd.data import changes
from dfd.data.changes import KINDS, Change, changes_of, hardest
from dfd.data.decode import UnusableImage
from dfd.errors import UserError
from tests.images import picture

BOUNDS = {item.name: (item.metadata["low"], item.metadata["high"]) for item in fields(ChangesConfig)}
WHOLE = {"jpeg", "webp", "web", "hard"}
SAME_SIZE = ("jpeg", "webp", "resize", "blur", "noise", "brightness", "contrast")
IMAGES = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda side: arrays(np.uint8, (*side, 3)))


def strengths(kind: str) -> st.SearchStrategy[float]:
    """Anything that the settings accept."""
    low, high = BOUNDS[kind]
    return st.integers(low, high).map(float) if kind in WHOLE else st.floats(low, high)


ANY_CHANGE = st.sampled_from(list(KINDS)).flatmap(lambda kind: st.builds(Change, st.just(kind), strengths(kind)))


def test_each_kind_has_a_setting() -> None:
    assert list(KINDS) == [item.name for item in fields(ChangesConfig)]


@settings(max_examples=150)
@given(image=IMAGES, change=ANY_CHANGE)
def test_any_change_of_any_image_gives_an_image_and_the_same_one_twice(image: np.ndarray, change: Change) -> None:
    before = image.copy()
    result = change(image, 3, 5)
    assert result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3 and result.size > 0
    assert np.array_equal(result, change(image, 3, 5))
    assert np.array_equal(image, before)
    if change.kind in SAME_SIZE:
        assert result.shape == image.shape


@given(image=IMAGES, kind=st.sampled_from([kind for kind, about in KINDS.items() if about.neutral is not None]))
def test_the_neutral_strength_changes_nothing(image: np.ndarray, kind: str) -> None:
    """Not by a shortcut alone: the function's own result at that strength is the image, too, where it has one."""
    neutral = KINDS[kind].neutral
    assert neutral is not None
    assert np.array_equal(Change(kind, neutral)(image), image)
    if kind != "blur":
        assert np.array_equal(KINDS[kind].apply(image, neutral, np.random.default_rng(0)), image)


@given(image=IMAGES, share=strengths("crop"))
def test_a_crop_is_the_middle(image: np.ndarray, share: float) -> None:
    cut = Change("crop", share)(image)
    height, width = cut.shape[:2]
    assert (height, width) == tuple(max(1, round(side * share)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    assert abs(image.shape[0] - height - 2 * top) <= 1 and abs(image.shape[1] - width - 2 * left) <= 1
    assert np.array_equal(cut, image[top : top + height, left : left + width])


@pytest.mark.parametrize(
    ("kind", "mild_to_hard"),
    [
        ("jpeg", [100, 95, 90, 80, 70, 50, 30, 1]),
        ("webp", [95, 90, 80, 70, 50, 30]),
        ("resize", [1, 0.75, 0.5, 0.25]),
        ("blur", [0, 0.5, 1, 2]),
        ("noise", [0, 2, 5, 10]),
        ("brightness", [1, 0.75, 0.5]),
        ("brightness", [1, 1.25, 1.5]),
        ("contrast", [1, 0.75, 0.5]),
        ("contrast", [1, 1.25, 1.5]),
    ],
)
def test_harder_is_further_from_the_image(kind: str, mild_to_hard: list[float]) -> None:
    image = np.asarray(Image.fromarray(picture(1, 120, 90)))
    with np.errstate(divide="ignore"):
        quality = [peak_signal_noise_ratio(image, Change(kind, strength)(image, 0)) for strength in mild_to_hard]
    assert quality == sorted(quality, reverse=True) and len(set(quality)) == len(quality)
    assert KINDS[kind].harder in ("away", "higher" if mild_to_hard[0] < mild_to_hard[-1] else "lower")


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("web", (768, 768), (768, 768)),
        ("web", (769, 10), (768, 10)),
        ("web", (1536, 1000), (768, 500)),
        ("web", (200, 1537), (100, 768)),
        ("web", (9, 7), (9, 7)),
        ("hard", (512, 512), (512, 512)),
        ("hard", (513, 512), (512, 511)),
        ("hard", (1024, 256), (512, 128)),
        ("hard", (1000, 1), (512, 1)),
    ],
)
def test_sharing_only_ever_shrinks(kind: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert Change(kind, 1)(image).shape[1::-1] == expected


def test_presets_are_the_jpeg_of_their_quality_where_nothing_is_to_shrink() -> None:
    image = picture(2, 100, 80)
    assert np.array_equal(Change("web", 1)(image), Change("jpeg", 60)(image))
    assert np.array_equal(Change("hard", 1)(image), Change("jpeg", 40)(image))
    assert np.array_equal(Change("web", 2)(image), Change("jpeg", 60)(Change("jpeg", 60)(image)))


def test_a_screenshot_is_scaled_but_never_larger_than_the_screen() -> None:
    assert Change("screenshot", 1.25)(picture(0, 80, 60)).shape == (75, 100, 3)
    assert Change("screenshot", 0.8)(picture(0, 80, 60)).shape == (48, 64, 3)
    assert Change("screenshot", 1.5)(np.zeros((10, 3000, 3), np.uint8)).shape == (13, 3840, 3)
    assert Change("screenshot", 1)(np.zeros((10, 7680, 3), np.uint8)).shape == (5, 3840, 3)


def test_a_screens_tones_keep_black_white_and_order() -> None:
    tones = changes.SCREEN_TONES
    assert (tones[0], tones[255], len(tones)) == (0, 255, 256) and tones == sorted(tones)
    assert 0 < max(abs(tone - level) for level, tone in enumerate(tones)) < 10  # slight


def test_noise_has_its_deviation_and_depends_on_seed_image_and_strength() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    noise = Change("noise", 10)(grey, 1, 2).astype(float) - 128
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 10) < 0.1
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    others = [Change("noise", 10)(grey, 1, 3), Change("noise", 10)(grey, 2, 2), Change("noise", 10.5)(grey, 1, 2)]
    assert all(abs(np.corrcoef(noise.ravel(), other.ravel().astype(float))[0, 1]) < 0.02 for other in others)


def test_strips_of_noise_are_seamless(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(3, 50, 41)
    whole = Change("noise", 5)(image, 0)
    monkeypatch.setattr(changes, "STRIP", 3 * 50 * 7)
    assert np.array_equal(Change("noise", 5)(image, 0), whole)


def test_blur_is_opencvs_whatever_the_number_of_its_threads() -> None:
    image = picture(4, 333, 222)
    results = []
    before = cv2.getNumThreads()
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        results.append(Change("blur", 1.5)(image))
    cv2.setNumThreads(before)
    assert np.array_equal(*results)


@pytest.mark.parametrize(("kind", "side"), [("webp", 16_384), ("jpeg", 65_501)])
def test_an_image_too_long_for_the_format_is_told(kind: str, side: int) -> None:
    with pytest.raises(UnusableImage, match=f"{side:,} pixels a side"):
        Change(kind, 50)(np.zeros((1, side, 3), np.uint8))
    assert Change(kind, 50)(np.zeros((1, side - 1, 3), np.uint8)).shape == (1, side - 1, 3)


def test_changes_come_mild_to_hard_and_none_twice() -> None:
    config = ChangesConfig(noise=[5, 2], jpeg=[30, 90, 30], brightness=[1.5, 0.5])
    named = [(change.kind, change.strength) for change in changes_of(config)]
    expected = [("jpeg", 90), ("jpeg", 30), ("noise", 2), ("noise", 5), ("brightness", 0.5), ("brightness", 1.5)]
    assert named == expected
    assert changes_of(ChangesConfig()) == []


def test_the_hardest_changes_of_a_kind() -> None:
    made = changes_of(ChangesConfig(jpeg=[30, 90], brightness=[1.5, 0.5, 0.75], contrast=[1.2, 1.4]))
    assert hardest(made, "jpeg") == [Change("jpeg", 30)]
    assert hardest(made, "brightness") == [Change("brightness", 0.5), Change("brightness", 1.5)]
    assert hardest(made, "contrast") == [Change("contrast", 1.4)]
    assert hardest(made, "noise") == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_strengths_beyond_the_bounds_are_refused_by_name(kind: str) -> None:
    low, high = BOUNDS[kind]
    check(RobustnessConfig(name="x", changes=ChangesConfig(**{kind: [low, high]})), "robustness.")
    for wrong in (low - 1, high + 1, float("nan")):
        with pytest.raises(UserError) as caught:
            check(RobustnessConfig(name="x", changes=ChangesConfig(**{kind: [low, wrong]})), "robustness.")
        assert str(caught.value).startswith(f"robustness.changes.{kind}={wrong} is too ")
        assert f"accepted is {low} to {high}" in str(caught.value)


def test_a_change_says_what_it_is() -> None:
    assert str(Change("jpeg", 90.0)) == "JPEG, quality 90"
    assert str(Change("resize", 0.25)) == "Resize, factor 0.25"
    assert all(str(Change(kind, 1.0)) for kind in asdict(ChangesConfig()))
