import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfd.explain.geometry import placed
from tests.factories import tiny_preprocessing

sides = st.integers(8, 90)


@given(sides, sides, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_crop_goes_back_to_the_very_pixels_it_was_cut_from(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    preprocessing = tiny_preprocessing(size=32, fit="crop")
    back = placed(preprocessing(image)[..., 0].astype(np.float32), preprocessing, height, width)
    seen = np.isfinite(back)
    assert back.shape == (height, width) and seen.sum() == min(height, 32) * min(width, 32)
    assert (back[seen] == image[..., 0][seen]).all()


@given(st.sampled_from(["resize", "square"]), sides, sides, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
@settings(max_examples=60, deadline=None)
def test_a_bright_spot_comes_back_to_where_it_was(fit: str, height: int, width: int, down: float, right: float) -> None:
    rows, columns = np.mgrid[:height, :width]
    side = min(height, width) if fit == "square" else max(height, width)
    at = (height / 2 + (down - 0.5) * min(side, height), width / 2 + (right - 0.5) * min(side, width))
    reach = 0.15 * np.array([min(side, height), min(side, width)])
    spot = 255 * np.exp(-(((rows + 0.5 - at[0]) / reach[0]) ** 2) - ((columns + 0.5 - at[1]) / reach[1]) ** 2)
    image = np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2)
    preprocessing = tiny_preprocessing(size=64, fit=fit, interpolation="bilinear")
    back = placed(preprocessing(image)[..., 0].astype(np.float32), preprocessing, height, width)
    assert back.shape == (height, width)
    seen = np.isfinite(back)
    assert np.abs(back[seen] - image[..., 0][seen]).mean() < 8


def test_outside_of_the_middle_square_nothing_is_known() -> None:
    back = placed(np.ones((32, 32), np.float32), tiny_preprocessing(fit="square"), 20, 50)
    assert np.isnan(back[:, :15]).all() and np.isnan(back[:, 35:]).all() and (back[:, 15:35] == 1).all()


@pytest.mark.parametrize("fit", ["resize", "square", "crop"])
def test_a_picture_of_one_pixel_has_a_map(fit: str) -> None:
    assert placed(np.ones((32, 32), np.float32), tiny_preprocessing(fit=fit), 1, 1) == np.ones((1, 1))
