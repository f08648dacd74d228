import numpy as np
import pytest

from dfd.explain.floors import noise, peaked, smooth
from dfd.explain.pointing import peak


def test_peaks_of_random_maps_lie_anywhere() -> None:
    inner = [all(20 <= place < 80 for place in peak(smooth(100, 100, seed))) for seed in range(200)]
    assert 0.2 < np.mean(inner) < 0.52  # 0.36 of the area


@pytest.mark.parametrize("shape", [(1, 1), (40, 7), (60, 300)])
def test_maps_have_the_shape_and_the_seed_asked_for(shape: tuple[int, int]) -> None:
    for make in (noise, smooth):
        one, again, other = (make(*shape, seed) for seed in (1, 1, 2))
        assert one.shape == shape and one.dtype == np.float32 and np.isfinite(one).all()
        assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_smooth_maps_are_smooth_and_as_strong_as_noise() -> None:
    maps = np.stack([smooth(80, 80, seed) for seed in range(50)])
    assert maps.std() == pytest.approx(1, rel=0.1)
    assert np.abs(np.diff(maps, axis=2)).mean() < 0.1


def test_a_peak_is_where_it_was_put() -> None:
    row, column = np.unravel_index(peaked(50, 100, (0.3, 0.6)).argmax(), (50, 100))
    assert abs(row - 30) <= 1 and abs(column - 30) <= 1
