import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dfd.video.scenes import LEAST, cuts


def changes(n: int = 60, level: float = 1.0, **at: float) -> np.ndarray:
    made = np.full(n, level)
    made[0] = 0
    for place, value in at.items():
        made[int(place[1:])] = value
    return made


def test_a_change_that_stands_out_is_a_cut() -> None:
    assert cuts(changes(_20=60.0, _40=30.0), most=10) == [20, 40]


def test_what_stands_out_of_a_still_scene_is_lost_in_a_wild_one() -> None:
    assert cuts(changes(level=20.0, _30=35.0), most=10) == []
    assert cuts(changes(level=20.0, _30=70.0), most=10) == [30]


def test_a_small_change_is_none_however_still_the_scene() -> None:
    assert cuts(changes(level=0.0, _30=LEAST - 0.1), most=10) == []


def test_frames_that_come_twice_do_not_make_movement_a_cut() -> None:
    moving = np.tile([30.0, 0.0, 0.0], 20)
    moving[0] = 0
    assert cuts(moving, most=10) == []


def test_one_cut_does_not_hide_the_next() -> None:
    assert cuts(changes(_20=60.0, _24=50.0), most=10) == [20, 24]


def test_the_strongest_are_kept() -> None:
    assert cuts(changes(_10=30.0, _30=60.0, _50=50.0), most=2) == [30, 50]


@given(st.lists(st.floats(0, 255), min_size=1, max_size=100), st.integers(0, 10))
def test_any_changes_give_at_most_so_many_rows_in_order(values: list[float], most: int) -> None:
    found = cuts(np.array([0.0, *values]), most)
    assert len(found) <= most and found == sorted(set(found)) and all(0 < row <= len(values) for row in found)
