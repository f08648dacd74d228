"""What is to be scored: a list of tasks, each a slice of the inputs, kept beside the parts.

_plan.jsonl.gz   one task a line, each line a gzip member of its own, so that it can be read alone (`zcat` shows all)
_plan.json       what the scores belong to: bundle, backend, limits; written last

The list is never in memory as a whole: it is written, compared and read task by task.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dfd.errors import UserError
from dfd.files import replacing, told, write_text
from dfd.scoring.inputs import ACCEPTED, IMAGE, OTHER, ROWS, SHARD, Group, Seen, groups_of, kind_of
from dfd.scoring.listing import Entry
from dfd.scoring.tables import Columns, Rows

TASKS, ABOUT = "_plan.jsonl.gz", "_plan.json"
READ = 2**16  # bytes read at once
GZIP = 31  # zlib's number for gzip members


@dataclass(frozen=True)
class Task:
    """A slice of the inputs: image files, rows of one Parquet file, or one .tar shard as a whole.

    `kind` as in `inputs`. `entries`: the image files, or the one table or shard. `rows`: the table's rows, from and to.
    """

    number: int
    kind: str
    entries: tuple[Entry, ...]
    rows: tuple[int, int] | None = None

    @property
    def images(self) -> int | None:
        """How many; None for a shard, in which they are not counted beforehand."""
        if self.rows:
            return self.rows[1] - self.rows[0]
        return len(self.entries) if self.kind == IMAGE else None

    @property
    def size(self) -> int:
        """Bytes of a shard."""
        return max(0, self.entries[0].size) if self.kind == SHARD else 0

    def to_json(self) -> str:
        """One line."""
        return json.dumps([self.number, self.kind, self.entries, self.rows], separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> "Task":
        """Inverse of `to_json`."""
        number, kind, entries, rows = json.loads(line)
        return cls(number, kind, tuple(Entry(*one) for one in entries), tuple(rows) if rows else None)


@dataclass
class Skipped:
    """Files in folders and globs that are no images."""

    files: int = 0


def tasks_of(inputs: list[str], columns: Columns, part: int, room: Path, skipped: Skipped) -> Iterator[Task]:
    """The inputs in slices of at most `part` images, each image once, always in the same order.

    `room`: a folder for temporary files. Raises UserError for an input that gives no image.
    """
    seen, number = Seen(), 0
    for group in groups_of(inputs):
        images = 0
        others = skipped.files
        for kind, entries, rows in _slices(group, seen, columns, part, room, skipped):
            yield Task(number, kind, entries, rows)
            number += 1
            images += 1
        seen.add(group)
        if not images:
            beside = f"; {skipped.files - others:,} other files are there" if skipped.files > others else ""
            raise UserError(
                f"no images found, or none that an earlier input has not: {group.texts[0]!r}{beside}. {ACCEPTED}"
            )


def _slices(
    group: Group, seen: Seen, columns: Columns, part: int, room: Path, skipped: Skipped
) -> Iterator[tuple[str, tuple[Entry, ...], tuple[int, int] | None]]:
    waiting: list[Entry] = []
    for entry in group.entries(room):
        kind = kind_of(entry.path)
        if group.kind == "files" and kind == OTHER:
            kind = IMAGE  # a file that is named is taken whatever its suffix
        if kind == OTHER or (group.kind == "folder" and kind != IMAGE):
            skipped.files += 1
            continue
        if not seen.is_new(entry.path, group):
            continue
        if kind == IMAGE:
            waiting.append(entry)
        if waiting and (kind != IMAGE or len(waiting) == part):
            yield IMAGE, tuple(waiting), None
            waiting = []
        if kind == SHARD:
            yield SHARD, (entry,), None
        elif kind == ROWS:
            total = len(Rows(entry.path, columns))
            yield from ((ROWS, (entry,), (start, min(start + part, total))) for start in range(0, total, part))
    if waiting:
        yield IMAGE, tuple(waiting), None


@dataclass(frozen=True)
class Plan:
    """A plan on the disk."""

    folder: Path

    @property
    def about(self) -> dict[str, Any] | None:
        """What the scores belong to; None if there is no whole plan. Raises UserError if it is damaged."""
        path = self.folder / ABOUT
        if not path.is_file():
            return None
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); choose another folder with out=") from None

    def write(self, tasks: Iterator[Task], about: dict[str, Any]) -> None:
        """Write the plan. Adds to `about` how much there is to do, and a `digest` that names the plan."""
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        sums = {"tasks": 0, "images": 0, "shard_bytes": 0}
        with told(self.folder):
            with replacing(self.folder / TASKS) as temporary, open(temporary, "wb") as file:
                for task in tasks:
                    line = task.to_json().encode() + b"\n"
                    packer = zlib.compressobj(level=1, wbits=GZIP)
                    file.write(packer.compress(line) + packer.flush())
                    digest.update(line)
                    sums["tasks"] += 1
                    sums["images"] += task.images or 0
                    sums["shard_bytes"] += task.size
            content = {"digest": digest.hexdigest(), **sums, **about}
            write_text(self.folder / ABOUT, json.dumps(content, indent=1) + "\n")

    def tasks(self) -> Iterator[tuple[int, Task]]:
        """All tasks in their order, each with its place for `read`."""
        place = 0
        while (found := self._at(place)) is not None:
            task, end = found
            yield place, task
            place = end

    def read(self, place: int) -> Task:
        """The task at a place."""
        found = self._at(place)
        if found is None:
            raise UserError(f"{self.folder / TASKS} ends before its place {place}: it has changed")
        return found[0]

    def check(self, about: dict[str, Any]) -> None:
        """Raise UserError, which says what differs, unless the plan there is for the same work."""
        there = self.about or {}
        for key, value in about.items():
            if there.get(key) != value:
                was, now = (f"{key}={one}" for one in (there.get(key), value))
                raise UserError(f"{self.folder} holds scores with {was}, and this is {now}; {ANOTHER}")

    def check_tasks(self, tasks: Iterator[Task]) -> None:
        """Raise UserError, which names the first file that differs, unless the inputs are those of the plan."""
        for new, old in zip_longest(tasks, (task for _, task in self.tasks())):
            if new != old:
                raise UserError(f"{self.folder} holds scores of other inputs: {_difference(old, new)}; {ANOTHER}")

    def _at(self, place: int) -> tuple[Task, int] | None:
        unpacker, line = zlib.decompressobj(wbits=GZIP), b""
        with open(self.folder / TASKS, "rb") as file:
            file.seek(place)
            while not unpacker.eof:
                block = file.read(READ)
                if not block:
                    return None
                line += unpacker.decompress(block)
            return Task.from_json(line), file.tell() - len(unpacker.unused_data)


ANOTHER = "choose another folder with out=, or remove that one"


def _difference(old: Task | None, new: Task | None) -> str:
    before, now = old.entries if old else (), new.entries if new else ()
    for was, is_ in zip_longest(before, now):
        if was is None:
            return f"{is_.path} is new"
        if is_ is None:
            return f"{was.path} is gone"
        if was.path != is_.path:
            return f"{is_.path} in place of {was.path}"
        if was != is_:
            return f"{was.path} has changed"
    return f"{now[0].path} has changed"
