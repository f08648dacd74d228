from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dfd.explain.maps import Map
from dfd.explain.pictures import heat, overlay, png


def a_map(values: object) -> Map:
    return Map(np.array(values, np.float32), "gradcam", "net")


def test_orange_speaks_for_fake_and_blue_for_real() -> None:
    picture = heat(a_map([[2.0, -2.0, 0.0]]))
    assert picture.shape == (1, 3, 4) and picture.dtype == np.uint8
    (fake, real, nothing), red, blue, alpha = picture[0], 0, 2, 3
    assert fake[red] > fake[blue] and real[blue] > real[red]
    assert (fake[alpha], real[alpha], nothing[alpha]) == (255, 255, 0)


def test_what_was_not_looked_at_is_grey() -> None:
    picture = heat(a_map([[np.nan, 1.0]]))
    assert len(set(picture[0, 0, :3].tolist())) == 1 and 0 < picture[0, 0, 3] < 255


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_map_of_nothing_has_no_colour(values: np.ndarray) -> None:
    picture = heat(a_map(values))
    assert (picture[..., 3] == (150 if np.isnan(values).all() else 0)).all()


def test_one_pixel_that_outshines_all_does_not_hide_the_rest() -> None:
    values = np.full((100, 100), 1.0)
    values[0, 0] = 1e6
    assert (heat(a_map(values))[..., 3] == 255).all()


def test_the_overlay_is_the_picture_in_grey_where_the_map_is_clear() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    values = np.zeros((8, 8))
    values[0, 0] = 1
    plain, half, full = (overlay(image, a_map(values), opacity) for opacity in (0, 0.5, 1))
    grey = np.asarray(Image.fromarray(image).convert("L"))
    assert np.abs(plain.astype(int) - grey[..., None]).max() <= 1
    assert (plain[1:] == full[1:]).all() and tuple(full[0, 0]) == (240, 90, 10)
    assert np.abs(half[0, 0] - (plain[0, 0].astype(int) + full[0, 0]) / 2).max() <= 1


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_a_png_holds_the_very_pixels(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(BytesIO(png(array)))), array)
