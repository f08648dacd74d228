from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dfd.explain.views import SIDE, error_level, middle, residual, spectrum, views


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_grating_is_a_peak_at_its_frequency(period: int) -> None:
    waves = 128 + 80 * np.sin(2 * np.pi * np.arange(128) / period)
    found = spectrum(grey(np.tile(waves, (128, 1))))
    assert found.frequency[found.power.argmax()] == pytest.approx(1 / period, abs=1 / 128)
    assert found.frequency[-1] == 0.5 and len(found.power) == len(found.frequency) == 64


def test_white_noise_has_the_same_power_at_all_frequencies() -> None:
    found = spectrum(grey(np.random.default_rng(0).normal(128, 20, (256, 256))))
    thirds = [part.mean() for part in np.array_split(found.power, 3)]
    assert np.ptp(thirds) < 1  # decibels


def test_grain_stays_in_the_residual_and_shading_does_not() -> None:
    rng = np.random.default_rng(0)
    shading = np.tile(np.linspace(40, 200, 64), (64, 1))
    grain = np.where(np.arange(64) < 32, rng.normal(0, 8, (64, 64)), 0)
    left, right = np.hsplit(np.abs(residual(grey(shading + grain))), 2)
    assert left.mean() > 2 and right.mean() < 0.5


def test_what_was_never_saved_as_jpeg_changes_more() -> None:
    rng = np.random.default_rng(0)
    buffer = BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(buffer, "JPEG", quality=90, subsampling=0)
    image = np.array(Image.open(buffer))
    image[16:48, 16:48] = rng.integers(0, 256, (32, 32, 3))
    changed = error_level(image)
    assert changed[16:48, 16:48].mean() > 2 * changed[:, :16].mean()


def test_the_views_show_the_middle_at_its_own_resolution() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIDE + 40, 100, 3)).astype(np.uint8)
    assert np.array_equal(middle(image), image[20 : SIDE + 20])
    assert [view.name for view in views(image)] == ["spectrum", "residual", "error_level"]
    assert all(view.picture.dtype == np.uint8 and view.look and view.misleads for view in views(image))


@pytest.mark.parametrize("shape", [(1, 1, 3), (15, 500, 3)])
def test_a_picture_too_small_for_a_spectrum_has_no_views(shape: tuple[int, int, int]) -> None:
    assert views(np.zeros(shape, np.uint8)) == []


def test_a_flat_picture_is_no_problem() -> None:
    assert all(np.isfinite(view.picture).all() for view in views(np.full((40, 30, 3), 7, np.uint8)))
