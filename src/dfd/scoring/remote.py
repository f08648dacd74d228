"""What a user names by URL, through fsspec: listed, opened, and fetched many at a time."""

import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, BinaryIO

from dfd.data.decode import MAX_BYTES
from dfd.errors import UserError
from dfd.scoring.item import Content, Problem
from dfd.scoring.listing import Entry

READ = 2**16  # bytes read at once of an open file, at least
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")  # as file systems call them


def is_url(text: str) -> bool:
    """Whether it names something by protocol, such as s3://bucket/images."""
    return URL.match(text) is not None


def store_of(text: str) -> str | None:
    """Protocol and host, or bucket, of a URL; None of a local path."""
    found = URL.match(text)
    return None if found is None else found.group().lower() + text[found.end() :].partition("/")[0]


def is_folder(url: str) -> bool:
    """Whether there are files below it."""
    files, path = _open(url)
    with _told(url):
        return bool(files.isdir(path))


@cache
def full_name(url: str) -> str:
    """The URL as listings write it."""
    files, path = _open(url)
    return str(files.unstrip_protocol(path))


def walk(url: str) -> Iterator[Entry]:
    """Visible files below a folder. Those of one folder are in memory at once: file systems list them so."""
    files, path = _open(url)
    with _told(url):
        for _, folders, found in files.walk(path, detail=True):
            for name in [name for name in folders if name.startswith(".")]:
                del folders[name]
            yield from (_entry(files, info) for name, info in found.items() if name and not name.startswith("."))


def matches(pattern: str) -> Iterator[Entry]:
    """Files that match a glob."""
    files, path = _open(pattern)
    with _told(pattern):
        for info in files.glob(path, detail=True).values():
            if info["type"] == "directory":
                yield from walk(files.unstrip_protocol(info["name"]))
            else:
                yield _entry(files, info)


def entry_of(url: str) -> Entry:
    """Size and stamp of one file."""
    files, path = _open(url)
    with _told(url):
        return _entry(files, files.info(path))


def open_url(url: str) -> BinaryIO:
    """The file for reading and seeking."""
    files, path = _open(url)
    with _told(url):
        return io.BufferedReader(_Handle(url, files.open(path, "rb")), READ)


def fetch(entries: Sequence[Entry]) -> list[Content]:
    """The contents of files of one file system, at once where it can. Raises UserError if it can't be reached."""
    wanted = [entry for entry in entries if 0 != entry.size <= MAX_BYTES]
    found: dict[str, Content] = {}
    if wanted:
        files, _ = _open(wanted[0].path)
        paths = [files._strip_protocol(entry.path) for entry in wanted]
        with _told(wanted[0].path):
            contents = files.cat_ranges(paths, 0, MAX_BYTES + 1, on_error="return")
        found = {entry.path: _content(entry, content) for entry, content in zip(wanted, contents, strict=True)}
    return [found.get(entry.path) or _without(entry) for entry in entries]


def _content(entry: Entry, content: Any) -> Content:
    if isinstance(content, FileNotFoundError):
        return Problem("no such file")
    if isinstance(content, PermissionError):
        return Problem("permission denied")
    if isinstance(content, Exception):  # the network's fault, not the file's: no reason to give the image up
        raise _unreachable(entry.path, content)
    return Problem(f"more than {MAX_BYTES:,} bytes") if len(content) > MAX_BYTES else bytes(content)


def _without(entry: Entry) -> Content:
    return Problem(f"{entry.size:,} bytes, limit {MAX_BYTES:,}") if entry.size > MAX_BYTES else b""


def _entry(files: Any, info: dict[str, Any]) -> Entry:
    stamp = next((str(info[key]) for key in STAMPS if info.get(key)), "")
    size = info.get("size")
    return Entry(files.unstrip_protocol(info["name"]), -1 if size is None else int(size), stamp)


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0].lower()
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        hint = known_implementations.get(protocol, {}).get("err") or str(error)
        raise UserError(f"{url}: {protocol}:// needs a package that is not installed: {hint}") from None
    except ValueError as error:
        raise UserError(f"{url}: {error}; accepted are paths and the protocols of fsspec, such as s3://") from None
    except Exception as error:
        raise _unreachable(url, error) from None
    return files, path


class _Handle(io.RawIOBase):
    """An open file of a file system, whose errors while it is read are told as those of opening it."""

    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        with _told(self._url):
            data = self._file.read(len(target))
        target[: len(data)] = data
        return len(data)

    def seek(self, place: int, whence: int = 0, /) -> int:
        with _told(self._url):
            return int(self._file.seek(place, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


class _told:
    """Makes a UserError of whatever a file system raises within the block."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"no such file or folder: {self._url!r}") from None
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise _unreachable(self._url, error) from None


def _unreachable(url: str, error: Exception) -> UserError:
    return UserError(f"{url} can't be read: {' '.join(str(error).split()) or type(error).__name__}")
