"""Tasks as a stream of chunks: what is decoded and goes through the network together."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

from dfd.data.decode import MAX_BYTES
from dfd.errors import UserError
from dfd.scoring import remote
from dfd.scoring.inputs import IMAGE, SHARD, open_place
from dfd.scoring.item import Item, Problem, name_of
from dfd.scoring.listing import Entry
from dfd.scoring.plan import Task
from dfd.scoring.tables import Columns, Rows
from dfd.scoring.tar import BrokenTar, members

BYTES = 64 * 2**20  # contents in memory that make a chunk full before it has all its images
AT_ONCE = 256 * 2**20  # bytes of files that are fetched at once
UNKNOWN = 8 * 2**20  # bytes that a file counts for whose size its listing does not say
T = TypeVar("T")


class Todo(NamedTuple):
    """A task, and how many of its parts are there already; only a shard can have some of them."""

    task: Task
    parts: int = 0


@dataclass(frozen=True)
class Chunk:
    """Some images of one part. `ends_part`, `ends_task`: it is the last of them."""

    task: Task
    part: int
    items: list[Item]
    ends_part: bool
    ends_task: bool


class Reader:
    """From tasks to images. Keeps a table open, since the next task mostly goes on in it."""

    def __init__(self, columns: Columns, part: int, batch_size: int) -> None:
        self._columns, self._part, self._batch_size = columns, part, batch_size
        self._rows: Rows | None = None

    def chunks(self, todo: Todo) -> Iterator[Chunk]:
        """The images of a task, at most `batch_size` a chunk and `part` a part. One without images is one empty chunk.

        Where a chunk ends depends on the images alone, so that each is always in the same batch. Raises UserError if
        the source can't be reached.
        """
        task, number = todo
        waiting, size, room = [], 0, self._part
        items = self._items(task, number * self._part)
        item = next(items, None)
        if item is None:
            yield Chunk(task, number, [], ends_part=True, ends_task=True)
        while item is not None:
            waiting.append(item)
            size, room = size + item.size, room - 1
            item = next(items, None)
            if len(waiting) == self._batch_size or size >= BYTES or room == 0 or item is None:
                yield Chunk(task, number, waiting, ends_part=room == 0 or item is None, ends_task=item is None)
                waiting, size = [], 0
            if room == 0:
                number, room = number + 1, self._part

    def _items(self, task: Task, skip: int) -> Iterator[Item]:
        place = task.entries[0].path
        if task.kind == SHARD:
            return _of_shard(place, skip)
        if task.kind == IMAGE:
            return self._of_files(task)
        if self._rows is None or self._rows.place != place:
            self._rows = Rows(place, self._columns)
        assert task.rows is not None
        return self._rows.read(*task.rows)

    def _of_files(self, task: Task) -> Iterator[Item]:
        for store, entries in groupby(task.entries, lambda entry: remote.store_of(entry.path)):  # named one by one
            if store is None:
                yield from (Item(name_of(entry.path), entry.path) for entry in entries)
                continue
            for some in _at_once(list(entries), self._batch_size):
                for entry, content in zip(some, remote.fetch(some), strict=True):
                    yield Item(name_of(entry.path), content)


def _at_once(entries: Sequence[Entry], most: int) -> Iterator[list[Entry]]:
    """Files that are fetched together: at most so many, and AT_ONCE bytes unless one alone has more."""
    some: list[Entry] = []
    size = 0
    for entry in entries:
        own = 0 if entry.size > MAX_BYTES else UNKNOWN if entry.size < 0 else entry.size
        if some and (len(some) == most or size + own > AT_ONCE):
            yield some
            some, size = [], 0
        some.append(entry)
        size += own
    yield some


def _of_shard(place: str, skip: int) -> Iterator[Item]:
    """The images of a shard; if it breaks off, one more item that says so."""
    with open_place(place) as handle:
        try:
            for name, content in members(handle, skip):
                yield Item(name_of(place, name), content)
        except OSError as error:  # the disk's fault; that of a network comes as a UserError
            raise UserError(f"{place} can't be read: {error.strerror or error}; the same command goes on") from None
        except BrokenTar as error:
            yield Item(name_of(place), Problem(f"archive can't be read any further ({error})"))


class Ahead(Generic[T]):
    """An iterator that is worked off in a thread, a few results ahead."""

    def __init__(self, source: Iterator[T], ahead: int) -> None:
        self._queue: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(source,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            result, error = self._queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield result

    def close(self) -> None:
        """Stop the thread; what it has read is dropped."""
        self._stop.set()
        self._thread.join(timeout=5)  # it may hang in a read; as a daemon it does not keep the process alive

    def _work(self, source: Iterator[T]) -> None:
        try:
            for result in source:
                if not self._put(result, None):
                    return
            self._put(None, StopIteration())
        except BaseException as error:  # raised again where the results are taken
            self._put(None, error)

    def _put(self, result: Any, error: BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put((result, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
