"""The files that a folder or a glob stands for, in order, without ever holding all of them in memory."""

import fnmatch
import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dfd.errors import UserError

RUN = 50_000  # files that are sorted in memory; more are sorted in runs on the disk
BLOCK = 2**14  # bytes of a run that are in memory while runs are merged


class Entry(NamedTuple):
    """A file: its path or URL, its size in bytes (-1: unknown) and what changes when it is written anew."""

    path: str
    size: int
    stamp: str


def walk(folder: str) -> Iterator[Entry]:
    """Visible files below a folder. Follows links to folders, but enters each folder once.

    Raises UserError if a folder can't be read.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below = []
        for one in _visible(here):
            if _is_folder(one):
                below.append(one.path)
            else:
                yield entry_of(one.path)
        waiting += sorted(below, reverse=True)  # of two links to one folder it is always the same that counts


def matches(pattern: str) -> Iterator[Entry]:
    """Files that match a glob; folders that match are walked through. `**` stands for any number of folders."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if is_wild(part))
    start = "/".join(parts[:first]) or ("/" if first else "")
    if os.path.isdir(start or "."):
        yield from _below(start, parts[first:])


def fits(path: str, pattern: str) -> bool:
    """Whether `matches(pattern)` gives a file that is there; of absolute paths."""
    parts = pattern.split("/")
    return _fit(path.split("/"), parts, below="**" not in parts)


def is_below(path: str, folder: str) -> bool:
    """Whether `walk(folder)` gives a file that is there; of absolute paths."""
    start = os.path.join(folder, "")
    return path.startswith(start) and not _any_hidden(path[len(start) :].split("/"))


def entry_of(path: str) -> Entry:
    """What a listing says of a local file; a link to nothing has no size."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return Entry(path, -1, "")
    return Entry(path, status.st_size, str(status.st_mtime_ns))


def in_order(entries: Iterable[Entry], room: Path) -> Iterator[Entry]:
    """The entries sorted by path; more than RUN of them go through a temporary file in the folder `room`."""
    source = iter(entries)
    first = sorted(islice(source, RUN))
    rest = sorted(islice(source, RUN))
    if not rest:
        yield from first
        return
    with tempfile.TemporaryFile(dir=room) as spill:
        runs = []
        while first or rest:
            runs.append(_spilled(spill, first))
            first, rest = rest, sorted(islice(source, RUN))
        spill.flush()
        yield from heapq.merge(*(_run(spill.fileno(), *one) for one in runs))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; a link in a ring is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _spilled(spill: BinaryIO, run: list[Entry]) -> tuple[int, int]:
    """Write a run; returns where it starts and ends."""
    start = spill.tell()
    for entry in run:
        spill.write(json.dumps(entry).encode() + b"\n")
    return start, spill.tell()


def _run(spill: int, start: int, end: int) -> Iterator[Entry]:
    rest = b""
    while start < end:
        block = os.pread(spill, min(BLOCK, end - start), start)
        start += len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from (Entry(*json.loads(line)) for line in lines)


def _below(folder: str, parts: list[str]) -> Iterator[Entry]:
    """Files below a folder whose paths from there fit `parts`."""
    if parts[0] == "**":
        cut = len(os.path.join(folder or ".", ""))
        for entry in walk(folder or "."):
            if _fit(entry.path[cut:].split("/"), parts, below=False):
                yield entry if folder else entry._replace(path=entry.path[cut:])
        return
    if any(parts[1:]):
        for path in sorted(_matching(folder, parts[0])):
            if os.path.isdir(path):
                yield from _below(path, parts[1:])
        return
    for path in _matching(folder, parts[0]):
        if os.path.isdir(path):
            yield from walk(path)
        else:
            yield entry_of(path)


def _matching(folder: str, part: str) -> Iterator[str]:
    """Paths in a folder whose names match; hidden ones only if the pattern asks for them."""
    if not is_wild(part):
        path = os.path.join(folder, part)
        yield from [path] if os.path.lexists(path) else []
        return
    for one in _visible(folder or ".", hidden=part.startswith(".")):
        if fnmatch.fnmatchcase(one.name, part):
            yield os.path.join(folder, one.name)


def _fit(names: list[str], parts: list[str], below: bool) -> bool:
    """Whether the parts of a path fit those of a glob; `below`: also if the path goes on below what fits."""
    if not parts:
        return not names or (below and not _any_hidden(names))
    if parts[0] == "**":  # from here on hidden ones are passed over, whatever the pattern says
        places = range(len(names))
        return not _any_hidden(names) and any(parts == ["**"] or _fit(names[at:], parts[1:], below) for at in places)
    if not names or (is_wild(parts[0]) and _any_hidden(names[:1]) and not parts[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], parts[0]) and _fit(names[1:], parts[1:], below)


def is_wild(text: str) -> bool:
    """Whether it is a glob, or a part of one, rather than a name."""
    return any(sign in text for sign in "*?[")


def _any_hidden(names: list[str]) -> bool:
    return any(name.startswith(".") for name in names)


def _visible(folder: str, hidden: bool = False) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (one for one in entries if hidden or not one.name.startswith("."))
    except OSError as error:
        raise UserError(f"folder cannot be read: {folder!r} ({error.strerror})") from None
