import time
from collections.abc import Iterator

import pytest

from dfd.scoring import progress
from dfd.scoring.item import Item
from dfd.scoring.listing import Entry
from dfd.scoring.parts import Part
from dfd.scoring.plan import Task
from dfd.scoring.progress import HEADER, Progress, duration
from dfd.scoring.stream import Chunk


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield now


def chunk(kind: str, count: int, size: int) -> Chunk:
    task = Task(0, kind, (Entry("a", 0, ""),))
    return Chunk(task, 0, [Item("a", bytes(size))] * count, ends_part=False, ends_task=False)


def test_time_left_and_speed(clock: list[float]) -> None:
    told = Progress(1000, 0)
    clock[0] += 10
    told.on_chunk(chunk("image", 100, 0))
    assert told.line() == "100 of 1,000 images, 10 images/s, 90 s left".replace("90 s", "2 min")
    told.on_chunk(chunk("image", 400, 0))
    assert told.line() == "500 of 1,000 images, 50 images/s, 10 s left"
    told.close()
    clock[0] += 1000
    assert told.seconds == 10 and told.rate == 50


def test_the_images_of_shards_are_told_from_their_size(clock: list[float]) -> None:
    told = Progress(1000, 200 * (HEADER + 100))
    clock[0] += 1
    told.on_chunk(chunk("image", 10, 0))
    assert told.total is None and told.line() == "10 images, 10 images/s"
    told.on_chunk(chunk("tar", 20, 100))
    assert told.total == 1200 and "of about 1,200 images" in told.line()
    told.on_part(Part(0, 1, 30), 10 * (HEADER + 100))
    assert told.total is not None and told.total > 1200 and told.done == 60


def test_a_log_file_gets_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress(1000, 0)
    for _ in range(10):
        clock[0] += progress.LINE_SECONDS / 4
        told.on_chunk(chunk("image", 10, 0))
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.split(" images, ")[0].strip() for line in lines] == ["40 of 1,000", "80 of 1,000"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89.4, "89 s"), (100, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
