import pytest

from dfd.serving.gate import Gate
from dfd.serving.problems import Busy


def test_images_beyond_the_limit_are_turned_away_and_places_come_back() -> None:
    gate = Gate(max_images=4, max_bytes=100)
    with gate.enter(10) as first:
        first.hold(3)
        with gate.enter(10) as second:
            with pytest.raises(Busy, match="3 images are in work, and 4 may be"):
                second.hold(2)
            with pytest.raises(Busy), gate.enter(10):
                pass
            assert (gate.images, gate.requests) == (4, 2)
        with gate.enter(10):
            assert gate.images == 4
    assert (gate.images, gate.bytes, gate.requests) == (0, 0, 0)


def test_memory_is_bounded_as_well() -> None:
    gate = Gate(max_images=99, max_bytes=100)
    with gate.enter(60):
        with pytest.raises(Busy, match="memory"), gate.enter(50):
            pass
        with gate.enter(40):
            assert gate.bytes == 100


def test_a_request_larger_than_the_limit_gets_in_when_nobody_is_before_it() -> None:
    gate = Gate(max_images=2, max_bytes=10)
    with gate.enter(50) as alone:
        alone.hold(8)
        with pytest.raises(Busy) as told, gate.enter(1):
            pass
    assert told.value.status == 503 and int(told.value.headers["Retry-After"]) >= 1


def test_a_closed_gate_lets_nobody_in_and_those_inside_finish() -> None:
    gate = Gate(max_images=9, max_bytes=10)
    with gate.enter(1) as inside:
        gate.closed = True
        inside.hold(3)
        with pytest.raises(Busy, match="shutting down"), gate.enter(1):
            pass
    assert gate.images == 0
