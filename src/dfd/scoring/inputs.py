"""What the words of the command line stand for: folders, globs and files, here or at a URL."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dfd.data.discover import SUFFIXES
from dfd.data.manifest import HEADER, TABLE
from dfd.errors import UserError
from dfd.scoring import listing, remote
from dfd.scoring.listing import Entry
from dfd.scoring.remote import is_url

TAR, PARQUET = (".tar", ".tar.gz", ".tgz"), (".parquet",)
IMAGE, SHARD, ROWS, OTHER = "image", "tar", "parquet", "other"
ACCEPTED = "Accepted are folders, globs and files of images, .tar and .parquet files, manifests, and URLs of these"


@dataclass(frozen=True)
class Group:
    """One folder, one glob, or several files that were named one after the other."""

    kind: str  # folder, glob, files
    texts: tuple[str, ...]

    def entries(self, room: Path) -> Iterator[Entry]:
        """The files: those of a folder or glob sorted. `room`: a folder for a temporary file."""
        (text, *_) = self.texts
        if self.kind == "files":
            yield from (_file(one) for one in self.texts)
        elif self.kind == "folder":
            yield from listing.in_order(remote.walk(text) if is_url(text) else listing.walk(text), room)
        else:
            yield from listing.in_order(remote.matches(text) if is_url(text) else listing.matches(text), room)

    def gives(self, path: str) -> bool:
        """Whether a file that is there, named by its absolute path or URL, is one of this folder or glob."""
        (text, *_) = self.texts
        if is_url(text) != is_url(path) or kind_of(path) == OTHER:
            return False
        if is_url(text):  # what a glob of URLs gives is up to the file system
            return self.kind == "folder" and kind_of(path) == IMAGE and listing.is_below(path, remote.full_name(text))
        place = os.path.abspath(text)
        if self.kind == "folder":
            return kind_of(path) == IMAGE and listing.is_below(path, place)
        return listing.fits(path, place)


def groups_of(texts: list[str]) -> list[Group]:
    """The inputs, in their order. Raises UserError for one that does not exist."""
    groups: list[Group] = []
    files: list[str] = []
    for text in texts:
        kind, place = _kind(text)
        if kind == "files":
            files.append(place)
            continue
        if files:
            groups.append(Group("files", tuple(files)))
            files = []
        groups.append(Group(kind, (place,)))
    return [*groups, Group("files", tuple(files))] if files else groups


class Seen:
    """Tells the files of later inputs that earlier ones gave already, without remembering each."""

    def __init__(self) -> None:
        self._groups: list[Group] = []
        self._files: set[str] = set()

    def add(self, group: Group) -> None:
        """Call it when a group is done."""
        if group.kind != "files":
            self._groups.append(group)

    def is_new(self, path: str, group: Group) -> bool:
        """Whether no input before has given the file."""
        if group.kind != "files" and not self._files and not self._groups:
            return True
        place = path if is_url(path) else os.path.abspath(path)
        if place in self._files or any(one.gives(place) for one in self._groups):
            return False
        if group.kind == "files":
            self._files.add(place)
        return True


def kind_of(path: str) -> str:
    """What a file is, by its suffix."""
    name = path.partition("?")[0].lower() if is_url(path) else path.lower()
    if name.endswith(TAR):
        return SHARD
    if name.endswith(PARQUET):
        return ROWS
    return IMAGE if os.path.splitext(name)[1] in SUFFIXES else OTHER


def open_place(place: str) -> BinaryIO:
    """A file or URL, for reading. Raises UserError."""
    if is_url(place):
        return remote.open_url(place)
    try:
        return open(place, "rb")
    except OSError as error:
        raise UserError(f"{place} can't be read: {error.strerror}") from None


def _kind(text: str) -> tuple[str, str]:
    """Of one input: folder, glob or files; and the input itself, the table of a manifest in place of its folder."""
    if is_url(text):
        if any(sign in text for sign in "*["):
            return "glob", text
        return ("files" if kind_of(text) != OTHER or not remote.is_folder(text) else "folder"), text
    if os.path.isdir(text):
        if all(os.path.isfile(os.path.join(text, name)) for name in (TABLE, HEADER)):
            return "files", os.path.join(text, TABLE)
        return "folder", text
    if os.path.lexists(text):
        return "files", text
    if listing.is_wild(text):
        return "glob", text
    raise UserError(f"no such file or folder: {text!r}. {ACCEPTED}")


def _file(text: str) -> Entry:
    entry = remote.entry_of(text) if is_url(text) else listing.entry_of(text)
    if kind_of(text) in (SHARD, ROWS) and not is_url(text) and not os.path.isfile(text):
        raise UserError(f"{text} is no regular file")  # opening a FIFO would wait for ever
    return entry
