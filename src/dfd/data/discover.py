"""Which images and videos a list of files, folders and globs stands for."""

import fnmatch
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dfd.errors import UserError

SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".jp2",
        ".ppm",
        ".pgm",
    )
)
VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"))


@dataclass(frozen=True)
class Found:
    """Image files and videos, each once, and how many other files lay beside them."""

    paths: list[Path]
    skipped: int
    videos: list[Path] = field(default_factory=list)


def find_images(inputs: list[str], *, videos: bool = False) -> Found:
    """The image files that `inputs` name: files, folders (searched to the bottom) and globs (`**` too).

    A file named as such is taken whatever its suffix, unless that is a video's. Folders and globs give files with an
    image's suffix; the others are counted, and hidden ones are passed over. The order is that of `inputs`, sorted
    within each. `videos`: take videos as well, by their suffix; else one that is named is refused, and those in folders
    are other files. Raises UserError for an input that gives nothing.
    """
    found: dict[str, Path] = {}
    skipped: set[str] = set()
    wanted = SUFFIXES | VIDEO_SUFFIXES if videos else SUFFIXES
    for text in inputs:
        taken, others = _expand(text, wanted)
        if not videos and any(is_video(path) for path in taken):
            raise UserError(f"{text!r} is a video, and this command takes images alone; videos are for `dfd predict`")
        if not taken:
            beside = f"; {len(others):,} other files are there" if others else ""
            kinds = "images and videos" if videos else "images"
            raise UserError(f"no images found: {text!r}{beside}. Accepted are files, folders and globs of {kinds}")
        found.update((os.path.abspath(path), Path(path)) for path in taken if os.path.abspath(path) not in found)
        skipped.update(os.path.abspath(path) for path in others)
    paths = list(found.values())
    return Found(
        paths=[path for path in paths if not is_video(path)],
        skipped=len(skipped - found.keys()),
        videos=[path for path in paths if is_video(path)],
    )


def is_video(path: Path | str) -> bool:
    """By the suffix alone: a file that only claims to be a video becomes a row with the reason."""
    return _suffix(path) in VIDEO_SUFFIXES


def images_below(folder: Path) -> list[Path]:
    """All image files in a folder and its sub-folders, sorted. Raises UserError if a folder cannot be read."""
    return [Path(path) for path in _walk(str(folder)) if _suffix(path) in SUFFIXES]


def _expand(text: str, suffixes: frozenset[str]) -> tuple[list[str], list[str]]:
    """Files with one of the suffixes and other files that one input stands for."""
    if os.path.isdir(text):
        files = _walk(text)
    elif os.path.lexists(text):
        return [text], []
    elif glob.has_magic(text):
        files = _matches(text)
    else:
        raise UserError(f"no such file or folder: {text!r}")
    listed = list(files)
    taken = [path for path in listed if _suffix(path) in suffixes]
    return taken, [path for path in listed if _suffix(path) not in suffixes]


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()


def _matches(pattern: str) -> Iterator[str]:
    """Files that match a glob; folders that match are searched."""
    parts = pattern.split("/")
    if "**" not in parts:
        for path in sorted(glob.glob(pattern)):
            yield from _walk(path) if os.path.isdir(path) else [path]
        return
    # Python's own `**` goes round a loop of links up to 40 times, and round two loops 2**40 times.
    at = parts.index("**")
    start = "/".join(parts[:at]) or ("/" if at else ".")
    for folder in sorted(glob.glob(start)):
        if os.path.isdir(folder):
            for path in _walk(folder):
                if _fits(os.path.relpath(path, folder).split("/"), parts[at:]):
                    yield path


def _fits(names: list[str], pattern: list[str]) -> bool:
    """Whether the parts of a path fit the parts of a glob, in which `**` stands for any number of folders."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return len(pattern) == 1 or _fits(names, pattern[1:]) or (len(names) > 1 and _fits(names[1:], pattern))
    return bool(names) and fnmatch.fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _walk(folder: str) -> Iterator[str]:
    """Visible files below a folder, sorted. Follows links to folders, but enters each folder once."""
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(here, name) for name in sorted(files) if not name.startswith("."))


def _unreadable(error: OSError) -> None:
    raise UserError(f"folder cannot be read: {error.filename!r} ({error.strerror})")
