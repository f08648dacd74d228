import errno
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.errors import UserError
from dfd.scoring import remote, stream, tables
from dfd.scoring.item import Content, Item, Problem, name_of
from dfd.scoring.listing import Entry
from dfd.scoring.plan import Skipped, Task, tasks_of
from dfd.scoring.stream import Ahead, Chunk, Reader, Todo
from dfd.scoring.tables import Columns
from tests.scoring.conftest import tar_of

COLUMNS = Columns("bytes", None)


def shard(place: Path, count: int) -> Task:
    place.write_bytes(tar_of([(f"{number}.jpg", bytes([number]) * 10) for number in range(count)]))
    return Task(0, "tar", (Entry(str(place), place.stat().st_size, ""),))


def chunks(task: Task, parts: int = 0, part: int = 5, batch_size: int = 2) -> list[Chunk]:
    return list(Reader(COLUMNS, part, batch_size).chunks(Todo(task, parts)))


@given(st.integers(0, 23), st.integers(1, 7), st.integers(1, 4))
def test_chunks_hold_every_image_once_and_say_where_parts_end(
    tmp_path_factory: pytest.TempPathFactory, count: int, part: int, batch_size: int
) -> None:
    task = shard(tmp_path_factory.getbasetemp() / "s.tar", count)
    found = chunks(task, 0, part, batch_size)
    assert [item.content for chunk in found for item in chunk.items] == [bytes([at]) * 10 for at in range(count)]
    assert [chunk.ends_task for chunk in found] == [False] * (len(found) - 1) + [True]
    sizes: dict[int, int] = {}
    for chunk in found:
        assert len(chunk.items) <= batch_size
        sizes[chunk.part] = sizes.get(chunk.part, 0) + len(chunk.items)
        assert chunk.ends_part == (sizes[chunk.part] == part or chunk.ends_task)
    assert list(sizes) == list(range(len(sizes))) and all(size == part for size in list(sizes.values())[:-1])
    for parts in range(len(sizes)):  # going on later gives the very same batches
        assert chunks(task, parts, part, batch_size) == [chunk for chunk in found if chunk.part >= parts]


def test_large_contents_make_a_chunk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BYTES", 25)
    assert [len(chunk.items) for chunk in chunks(shard(tmp_path / "s.tar", 8), part=100, batch_size=50)] == [3, 3, 2]


def test_a_shard_that_breaks_off_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    task = shard(tmp_path / "s.tar", 3)
    (tmp_path / "s.tar").write_bytes((tmp_path / "s.tar").read_bytes()[:2500])
    (*items, last) = [item for chunk in chunks(task) for item in chunk.items]
    assert len(items) == 2 and last.path == str(tmp_path / "s.tar")
    assert last.content == Problem("archive can't be read any further (truncated, or without an end mark)")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def test_what_is_named_by_url_is_read_like_files(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe({f"/in/{name}": name.encode() for name in ("b/1.jpg", "a.jpg", "b/.no.jpg", "b/c/2.png", "x.txt")})
    memory.pipe("/s.tar", tar_of([("t.jpg", b"t")]))
    memory.pipe("/empty.jpg", b"")
    skipped = Skipped()
    inputs = ["memory://in", "memory://*.tar", "memory://empty.jpg", "memory://in/a.jpg", "memory://empty.jpg"]
    with pytest.raises(UserError, match="no such file"):
        list(tasks_of(["memory://nothing.jpg"], COLUMNS, 2, tmp_path, skipped))
    found = list(tasks_of(inputs, COLUMNS, 2, tmp_path, skipped))
    items = [item for task in found for chunk in chunks(task) for item in chunk.items]
    assert [(item.path, item.content) for item in items] == [
        ("memory:///in/a.jpg", b"a.jpg"),
        ("memory:///in/b/1.jpg", b"b/1.jpg"),
        ("memory:///in/b/c/2.png", b"b/c/2.png"),
        ("memory:///s.tar/t.jpg", b"t"),
        ("memory:///empty.jpg", b""),
    ]
    assert skipped.files == 1


def test_a_file_that_is_gone_is_a_problem_and_a_network_that_is_gone_an_error(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/a.jpg", b"12345")
    entries = [
        Entry("memory:///a.jpg", 5, ""),
        Entry("memory:///gone.jpg", 5, ""),
        Entry("memory:///a.jpg", 10**10, ""),
    ]
    large = Problem("10,000,000,000 bytes, limit 268,435,456")
    assert remote.fetch(entries[:2]) == [b"12345", Problem("no such file")]
    assert remote.fetch([entries[2]]) == [large]
    monkeypatch.setattr(remote, "MAX_BYTES", 3)
    assert remote.fetch([Entry("memory:///a.jpg", -1, "")]) == [Problem("more than 3 bytes")]

    def unplugged(*arguments: object, **more: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(type(memory), "cat_file", unplugged)
    with pytest.raises(UserError, match=r"memory:///a\.jpg can't be read: no route"):
        remote.fetch([Entry("memory:///a.jpg", -1, "")])


class Cut(BytesIO):
    """A connection that is lost after the first bytes."""

    def __init__(self, content: bytes, good: int, error: Exception) -> None:
        super().__init__(content)
        self._good, self._error = good, error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._good:
            raise self._error
        return super().read(size)


class OfAPackage(Exception):
    """As those of aiohttp and botocore, which are no OSErrors."""


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), OfAPackage("reset by peer")])
@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "t.parquet"])
def test_a_connection_that_is_lost_on_the_way_is_a_message(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    table, images = BytesIO(), [os.urandom(3000) for _ in range(50)]
    pq.write_table(pa.table({"bytes": images}), table, row_group_size=10)
    packed = tar_of([(f"{at}.jpg", image) for at, image in enumerate(images)], "w:gz" if "gz" in name else "w")
    content = table.getvalue() if name == "t.parquet" else packed
    task = Task(
        0, "parquet" if name == "t.parquet" else "tar", (Entry(f"memory:///{name}", len(content), ""),), (0, 50)
    )
    handle = Cut(content, len(content), error)
    monkeypatch.setattr(type(memory), "open", lambda *one, **more: handle)
    reader = Reader(COLUMNS, 100, 5).chunks(Todo(task))
    next(reader)
    handle._good = 0
    with pytest.raises(UserError, match=rf"memory:///{name} can't be read: reset by peer"):
        list(reader)


def test_what_is_fetched_at_once_has_a_limit_in_bytes(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe({f"/{at}.jpg": bytes(10) for at in range(8)})
    fetched: list[int] = []
    fetch = remote.fetch
    monkeypatch.setattr(stream, "AT_ONCE", 25)
    monkeypatch.setattr(stream, "UNKNOWN", 20)

    def counted(some: list[Entry]) -> list[Content]:
        fetched.append(len(some))
        return fetch(some)

    monkeypatch.setattr(remote, "fetch", counted)
    sizes = [10, 10, 10, 10, 100, -1, -1, 10**12]
    task = Task(0, "image", tuple(Entry(f"memory:///{at}.jpg", size, "") for at, size in enumerate(sizes)))
    found = chunks(task, part=100, batch_size=50)
    assert fetched == [2, 2, 1, 1, 2] and [len(chunk.items) for chunk in found] == [8]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_disk_that_fails_is_no_reason_to_give_images_up(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tar_of([(f"{at}.jpg", bytes(5000)) for at in range(9)])
    if kind == "parquet":
        table = BytesIO()
        pq.write_table(pa.table({"bytes": [os.urandom(5000) for _ in range(9)]}), table, row_group_size=1)
        content = table.getvalue()
    broken = Cut(content, len(content), OSError(errno.ESTALE, "Stale file handle"))
    for module in (stream, tables):
        monkeypatch.setattr(module, "open_place", lambda place: broken)
    reader = Reader(COLUMNS, 100, 2).chunks(Todo(Task(0, kind, (Entry("s", len(content), ""),), (0, 9))))
    next(reader)
    broken._good = 0
    with pytest.raises(UserError, match="s can't be read: Stale file handle"):
        list(reader)


@pytest.mark.parametrize("source", ["s3://bucket/a.jpg", "gs://bucket/a.tar"])
def test_a_protocol_without_its_package_names_it(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.core

    def missing(url: str) -> None:
        raise ImportError("No module named 's3fs'")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(UserError, match=r"needs a package that is not installed: .*(s3fs|gcsfs)"):
        list(tasks_of([source], COLUMNS, 2, tmp_path, Skipped()))


@pytest.mark.parametrize(
    ("place", "inside", "name"),
    [
        ("photos/a.jpg", "", "photos/a.jpg"),
        ("./photos//a.jpg", "", "photos/a.jpg"),
        ("a\\b\n.jpg", "", "a\\\\b\\x0a.jpg"),
        ("odd\udcff.jpg", "", "odd\\xff.jpg"),
        ("s.tar", "../../etc/passwd.jpg", "s.tar/../../etc/passwd.jpg"),
        ("s3://bucket/a.tar", "./x\n.jpg", "s3://bucket/a.tar/x\\x0a.jpg"),
        ("a", "b/", "a/b"),
    ],
)
def test_names_are_those_that_predict_writes(place: str, inside: str, name: str) -> None:
    assert name_of(place, inside) == name


def test_reading_ahead_keeps_order_stops_and_hands_errors_over() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise UserError("broken")

    seen = []
    with pytest.raises(UserError, match="broken"):
        for one in Ahead(source(), 2):
            seen.append(one)
    assert seen == list(range(5))
    endless: Ahead[Item] = Ahead(iter(lambda: Item("a", BytesIO().getvalue()), None), 2)
    assert next(iter(endless)) == Item("a", b"")
    endless.close()
    deadline = time.monotonic() + 5
    while endless._thread.is_alive():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("swap", [False, True])
def test_files_that_are_named_one_by_one_may_lie_in_several_places(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, swap: bool
) -> None:
    memory.pipe("/x/1.jpg", b"1")
    for name in ("2.jpg", "3.jpg"):
        (tmp_path / name).write_bytes(name[:1].encode())
    inputs = [str(tmp_path / "2.jpg"), "memory://x/1.jpg", f"file://{tmp_path}/3.jpg"]
    found = {}
    for task in tasks_of(inputs[::-1] if swap else inputs, COLUMNS, 10, tmp_path, Skipped()):
        for item in (item for chunk in chunks(task) for item in chunk.items):
            content = item.content
            found[item.path.rpartition("/")[2]] = Path(content).read_bytes() if isinstance(content, str) else content
    assert found == {"1.jpg": b"1", "2.jpg": b"2", "3.jpg": b"3"}
