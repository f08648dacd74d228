"""Writing files so that a reader sees the old content or the new, never a half."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dfd.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
NOTHING_LEFT = 2**20  # bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the place of `path` if the block ends well.

    The content is flushed to disk before the rename, so the file survives a power cut as well as a kill.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers such as pandas choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if isinstance(error, (OSError, UserError)) or not _is_full(path.parent, error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(folder: Path, error: Exception) -> bool:
    """Whether a writer that has errors of its own, as safetensors and torch do, failed for lack of room."""
    return os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < NOTHING_LEFT


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Make a UserError of what a full disk or a lack of permission raises within the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (*FULL, errno.EACCES, errno.EROFS):
            raise UserError(f"{path} can't be written: {error.strerror}") from None
        raise


def make_room(folder: Path, size: int, what: str) -> None:
    """Make the folder; raise UserError unless `size` bytes are free there. `what`: such as 'the features take'."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"{folder}: {what} {size / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free; make room, or choose "
            "another data.root"
        )


def allocate(path: Path) -> None:
    """Take the room of a mapped file now: writing to it on a full disk would kill the process instead of telling."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def link_or_copy(source: str, target: str) -> None:
    """For files that never change, so that two folders may share one; a copy where the file system can't."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class CannotOpen(OSError):
    """A file that can't be opened. `reason` says why in a few plain words, without the file's name."""

    def __init__(self, number: int | None, reason: str) -> None:
        super().__init__(number, reason if number is None else os.strerror(number))
        self.reason = reason


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises CannotOpen."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise CannotOpen(errno.EISDIR, "a folder")
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
            raise CannotOpen(errno.ENXIO, "not a regular file")
        return open(path, "rb")
    except CannotOpen:
        raise
    except FileNotFoundError as error:
        raise CannotOpen(error.errno, "a link to nothing" if os.path.islink(path) else "no such file") from None
    except PermissionError as error:
        raise CannotOpen(error.errno, "permission denied") from None
    except OSError as error:
        raise CannotOpen(error.errno, f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise CannotOpen(None, "not a possible file name") from None


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
