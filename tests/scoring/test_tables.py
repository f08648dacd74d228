import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfd.config import DataConfig
from dfd.data.prepare import prepare
from dfd.errors import UserError
from dfd.scoring import tables
from dfd.scoring.item import Item, Known, Problem
from dfd.scoring.tables import Columns, Rows
from tests.factories import two_class_folder

ROWS = 50


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    contents = [f"content {number}".encode() for number in range(ROWS)]
    columns = {
        "bytes": contents,
        "image": [{"bytes": one, "path": f"in/{number}.jpg"} for number, one in enumerate(contents)],
        "key": [f"k{number}" for number in range(ROWS)],
        "label": list(range(ROWS)),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=20)
    return tmp_path / "t.parquet"


def read(columns: Columns, start: int = 0, stop: int = ROWS, place: str = "t.parquet") -> list[Item]:
    return list(Rows(place, columns).read(start, stop))


@pytest.mark.parametrize(
    ("bytes_column", "id_column", "name"),
    [("bytes", None, "t.parquet/7"), ("bytes", "key", "t.parquet/k7"), ("bytes", "label", "t.parquet/7"),
     ("image", None, "t.parquet/in/7.jpg"), ("image", "key", "t.parquet/k7")],
)  # fmt: skip
def test_contents_and_names_come_from_the_columns_named(
    table: Path, bytes_column: str, id_column: str | None, name: str
) -> None:
    items = read(Columns(bytes_column, id_column))
    assert len(items) == ROWS and items[7] == Item(name, b"content 7", Known())


@pytest.mark.parametrize(("start", "stop"), [(0, 50), (0, 7), (7, 21), (19, 20), (20, 40), (33, 50), (49, 50)])
def test_any_range_is_read_alone_or_after_another(table: Path, start: int, stop: int) -> None:
    all_of_it, rows = read(Columns("bytes", None)), Rows("t.parquet", Columns("bytes", None))
    assert len(rows) == ROWS
    assert list(rows.read(start, stop)) == all_of_it[start:stop]
    assert list(rows.read(stop, ROWS)) == all_of_it[stop:]
    assert list(rows.read(start, stop)) == all_of_it[start:stop]


def test_a_path_column_names_the_images(tmp_path: Path) -> None:
    place = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"bytes": [b"a", b"b", b"c"], "path": ["x/../y.jpg", None, "new\nline"]}), place)
    assert [item.path for item in read(Columns("bytes", None), 0, 3, place)] == [
        f"{place}/x/../y.jpg", f"{place}/1", rf"{place}/new\x0aline"
    ]  # fmt: skip


def test_nothing_and_too_much_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"image": [{"bytes": None}, None, {"bytes": b"12345"}, {"bytes": b"1234"}]}), place)
    monkeypatch.setattr(tables, "MAX_BYTES", 4)
    contents = [item.content for item in read(Columns("image", None), 0, 4, place)]
    assert contents == [Problem("no content"), Problem("no content"), Problem("5 bytes, limit 4"), b"1234"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            Columns("pixels", None),
            "bytes_column=pixels: this column is not there in t.parquet; bytes are in: bytes, image",
        ),
        (Columns("label", None), "bytes_column=label: this column holds int64, no bytes in t.parquet; bytes are in"),
        (
            Columns("bytes", "nothing"),
            "id_column=nothing: this column is not there in t.parquet; it has bytes, image, key",
        ),
    ],
)
def test_a_wrong_column_is_named_with_those_that_are_there(table: Path, columns: Columns, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Rows("t.parquet", columns)


def test_damage_within_becomes_error_rows_and_none_is_missing(table: Path) -> None:
    data = bytearray(table.read_bytes())
    group = pq.read_metadata(table).row_group(1).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    table.write_bytes(bytes(data))
    items = read(Columns("bytes", None))
    assert len(items) == ROWS and items[19].content == b"content 19"
    assert all(isinstance(item.content, Problem) for item in items[20:40])
    assert [item.content for item in items[40:]] == [f"content {number}".encode() for number in range(40, ROWS)]
    assert items[20].path == "t.parquet/20" and "its table can't be read" in items[20].content.reason  # type: ignore[union-attr]


def test_a_large_row_group_is_not_read_as_a_whole(tmp_path: Path) -> None:
    place, rng = str(tmp_path / "t.parquet"), np.random.default_rng(0)
    contents = [rng.bytes(50_000) for _ in range(1000)]
    options = {"row_group_size": 1000, "compression": "none", "use_dictionary": False, "write_batch_size": 16}
    pq.write_table(pa.table({"bytes": contents}), place, **options)
    del contents
    tracemalloc.start()
    before, most = pa.total_allocated_bytes(), 0
    for _ in Rows(place, Columns("bytes", None)).read(0, 1000):
        most = max(most, pa.total_allocated_bytes() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most + peak < 15_000_000  # of 50 million


def test_a_manifest_keeps_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = two_class_folder(tmp_path / "images", each=12)
    manifest = prepare(DataConfig(name="tiny", source=str(images), root=str(tmp_path / "data")), 0, False)
    place = str(tmp_path / "data" / "prepared" / "tiny" / "manifest.parquet")
    rows = Rows(place, Columns("bytes", None))
    items = list(rows.read(0, len(rows)))
    assert len(items) == 24
    for item, row in zip(items, manifest.table.to_dict("records"), strict=True):
        assert item.path == row["path"] and item.content == str(manifest.file(row["path"]))
        assert item.known == Known(row["label"], row["split"], row["source"], str(row["group"]), row["sha256"])
    header = Path(place).with_name("manifest.json")
    header.write_text(json.dumps({"name": "tiny"}))
    with pytest.raises(UserError, match="manifest.json is damaged"):
        Rows(place, Columns("bytes", None))
