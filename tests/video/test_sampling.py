import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from dfd.video.sampling import spread, together


@given(st.integers(1, 300), st.integers(1, 60))
@example(272, 4)
def test_frames_of_equal_length_are_spread_as_evenly_as_can_be(count: int, n: int) -> None:
    found = spread(np.arange(count) / 25, n)
    assert len(found) == min(count, n) and found == sorted(set(found))
    gaps = np.diff(found)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=60), st.integers(1, 40))
def test_each_stretch_gives_the_frame_that_is_on_show_in_its_middle(gaps: list[float], n: int) -> None:
    times = np.cumsum([0.0, *gaps])
    found = spread(times, n)
    assert 1 <= len(found) <= max(n, 1) or len(times) <= n
    assert found == sorted(set(found)) and found[0] >= 0 and found[-1] < len(times)


def test_a_long_still_is_looked_at_once() -> None:
    assert spread(np.array([0.0, 1.0, 2.0, 100.0, 101.0]), 4) == [2]


def test_both_kinds_of_frames_come_once_and_in_order() -> None:
    assert together([1, 5, 9], [5, 7]) == [1, 5, 7, 9]
