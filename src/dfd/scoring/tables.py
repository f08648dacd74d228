"""Images in Parquet: a column with their contents, or a manifest of dfd that says where they lie.

Read batch by batch: never a whole file is in memory, nor a whole row group unless it was written as one page.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dfd.data.decode import MAX_BYTES
from dfd.data.manifest import HEADER, TABLE
from dfd.data.names import to_path
from dfd.errors import UserError
from dfd.scoring.inputs import open_place
from dfd.scoring.item import Content, Item, Known, Problem, name_of

BUFFER = 2**20  # bytes read at once of each column; without it all of a row group's column is read
BATCH = 16  # rows read at once
PATH = "path"  # the column, or the field beside the bytes, that names an image
MANIFEST = ("path", "label", "split", "source", "group", "sha256")


@dataclass(frozen=True)
class Columns:
    """Where a table of a user's keeps its images: see the settings of the same names."""

    bytes_column: str
    id_column: str | None


class Rows:
    """Rows of one Parquet file as images. Going on where the last range ended costs nothing."""

    def __init__(self, place: str, columns: Columns) -> None:
        self.place = place
        self._file = _open(place)
        self._root = _root_of(place, self._file.schema_arrow.names)
        self._columns = _manifest() if self._root else _columns(place, self._file.schema_arrow, columns)
        self._items: Iterator[Item] = iter(())
        self._next = -1  # the row that `_items` gives next

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def read(self, start: int, stop: int) -> Iterator[Item]:
        """The images of rows `start` to `stop`. Rows that can't be read come as Problems."""
        if self._next != start:
            self._items, self._next = self._from(start), start
        for item in islice(self._items, stop - start):
            self._next += 1
            yield item

    def _from(self, row: int) -> Iterator[Item]:
        """All rows from one on. What is damaged in a row group costs its other rows, and no more."""
        end = 0
        for group in range(self._file.metadata.num_row_groups):
            start, end = end, end + self._file.metadata.row_group(group).num_rows
            reason = "it has fewer rows than it says"
            try:
                for item in self._of_group(group, row - start, row) if row < end else ():
                    row += 1
                    yield item
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno:  # the disk's; pyarrow's own, of damage, have no number
                    raise UserError(f"{self.place} can't be read: {error.strerror}; the same command goes on") from None
                reason = " ".join(str(error).split())[:120]
            while row < end:
                yield Item(name_of(self.place, str(row)), Problem(f"its table can't be read ({reason})"))
                row += 1

    def _of_group(self, group: int, skip: int, row: int) -> Iterator[Item]:
        """The rows of a row group but the first `skip`; the next one is `row` of the file."""
        names = [name for name in self._columns.values() if name]
        for batch in self._file.iter_batches(BATCH, [group], list(dict.fromkeys(names)), use_threads=False):
            kept = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - kept.num_rows
            yield from self._of_manifest(kept) if self._root else self._of_bytes(kept, row)
            row += kept.num_rows

    def _of_manifest(self, batch: pa.RecordBatch) -> Iterator[Item]:
        assert self._root is not None
        for path, label, *texts in zip(*(batch.column(name).to_pylist() for name in MANIFEST), strict=True):
            known = Known(int(label), *("" if text is None else str(text) for text in texts))
            yield Item(str(path), str(self._root / to_path(str(path))), known)

    def _of_bytes(self, batch: pa.RecordBatch, row: int) -> Iterator[Item]:
        contents = batch.column(self._columns["bytes"]).to_pylist()
        names = batch.column(self._columns["id"]).to_pylist() if self._columns["id"] else [None] * len(contents)
        for number, (content, name) in enumerate(zip(contents, names, strict=True), row):
            inside = name
            if isinstance(content, dict):
                inside = content.get(PATH) if name is None else name
                content = content["bytes"]  # noqa: PLW2901
            yield Item(name_of(self.place, str(number if inside is None else inside)), _usable(content))


def _usable(content: bytes | None) -> Content:
    if content is None:
        return Problem("no content")
    return content if len(content) <= MAX_BYTES else Problem(f"{len(content):,} bytes, limit {MAX_BYTES:,}")


def _open(place: str) -> pq.ParquetFile:
    handle = open_place(place)
    try:
        return pq.ParquetFile(handle, buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        handle.close()
        raise UserError(f"{place} is no Parquet file, or damaged: {' '.join(str(error).split())[:200]}") from None


def _root_of(place: str, names: list[str]) -> Path | None:
    """The folder that a manifest's paths start from; None if the table is no manifest of dfd."""
    header = Path(place).with_name(HEADER)
    if Path(place).name != TABLE or not set(MANIFEST) <= set(names) or not header.is_file():
        return None
    try:
        return Path(json.loads(header.read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{header} is damaged ({error}); prepare the data again with force=true") from None


def _manifest() -> dict[str, str]:
    return {name: name for name in MANIFEST}


def _columns(place: str, schema: pa.Schema, columns: Columns) -> dict[str, str]:
    """The names of the columns with contents ('bytes') and names ('id', or empty). Raises UserError."""
    wanted, name = columns.bytes_column, columns.id_column
    if wanted not in schema.names or not _holds_bytes(schema.field(wanted).type):
        good = [field.name for field in schema if _holds_bytes(field.type)]
        what = f"holds {schema.field(wanted).type}, no bytes" if wanted in schema.names else "is not there"
        there = (
            f"bytes are in: {', '.join(good)}" if good else f"it has {', '.join(schema.names) or 'none'}, none of bytes"
        )
        raise UserError(f"bytes_column={wanted}: this column {what} in {place}; {there}")
    if name is not None and name not in schema.names:
        raise UserError(f"id_column={name}: this column is not there in {place}; it has {', '.join(schema.names)}")
    return {"bytes": wanted, "id": name or (PATH if PATH in schema.names else "")}


def _holds_bytes(kind: pa.DataType) -> bool:
    """Bytes, or a struct with a field of that name, as the `datasets` library of Hugging Face writes images."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
