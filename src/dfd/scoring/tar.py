"""The images of a .tar shard, read once from front to back. Nothing is ever unpacked to the disk.

A name in an archive is data: it goes into a table, and is never used as a path. Python's `tarfile` keeps every member
in memory, takes headers of any length, and holds a damaged header for the end of the archive; hence this reader.
"""

import tarfile
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile, GzipFile
from os.path import splitext
from typing import BinaryIO, NamedTuple

from dfd.data.decode import MAX_BYTES
from dfd.data.discover import SUFFIXES
from dfd.scoring.item import Content, Problem

BLOCK = 512  # bytes; a header takes one, a content is filled up to a multiple of it
MORE_HOLES, HOLES_GO_ON = 482, 504  # places in a GNU sparse header, and in the blocks that continue it
MOST_DIGITS = 20  # of a size in an extended header
MAX_EXTENSION = 2**20  # bytes of an extension of a header, which holds a long name
STEP = 2**20  # bytes read at once of what is passed over
GZIP = b"\x1f\x8b"
TEXT = ("utf-8", "surrogateescape")
NO_CONTENT = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)


class BrokenTar(Exception):
    """An archive that can't be read any further; the text says why."""


class Header(NamedTuple):
    """A member: `size` is that of its content in the archive, in bytes."""

    name: str
    type: bytes
    size: int
    sparse: bool

    @property
    def is_image(self) -> bool:
        """A regular file with an image's suffix that is not hidden."""
        parts = self.name.split("/")
        hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
        return self.type in REGULAR and not hidden and splitext(parts[-1])[1].lower() in SUFFIXES


def members(handle: BinaryIO, skip: int = 0) -> Iterator[tuple[str, Content]]:
    """Name and content of each image in a .tar or .tar.gz, in their order; the first `skip` are passed over.

    One that is larger than MAX_BYTES, or sparse, comes as a Problem. Raises BrokenTar, and OSError if the archive
    itself can't be read.
    """
    archive = _Archive(handle)
    while (header := archive.header()) is not None:
        if not header.is_image or skip > 0:
            skip -= header.is_image
            archive.pass_over(header.size)
        elif header.sparse or header.size > MAX_BYTES:
            archive.pass_over(header.size)
            yield (
                header.name,
                Problem("a sparse file" if header.sparse else f"{header.size:,} bytes, limit {MAX_BYTES:,}"),
            )
        else:
            yield header.name, archive.content(header.size)


class _Archive:
    """Headers and contents, one after the other."""

    def __init__(self, handle: BinaryIO) -> None:
        packed = handle.read(len(GZIP)) == GZIP
        handle.seek(0)
        self._handle: BinaryIO = GzipFile(fileobj=handle) if packed else handle  # type: ignore[assignment]
        self._length: int | None = None  # of a file in which one can jump: in a packed one this means to unpack
        if not packed:
            self._length = handle.seek(0, 2)
            handle.seek(0)

    def header(self) -> Header | None:
        """The next member; None at the end of the archive."""
        name, records = "", dict[str, str]()
        while (header := self._plain()) is not None:
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = self._extension(header).rstrip(b"\0").decode(*TEXT)
            elif header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                records = pax_records(self._extension(header))
            elif header.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
                self._extension(header)
            else:
                size = _number(records["size"]) if records.get("size", "").isdecimal() else header.size
                sparse = header.sparse or any(key.startswith("GNU.sparse") for key in records)
                return Header(records.get("path") or name or header.name, header.type, size, sparse)
        return None

    def content(self, size: int) -> bytes:
        """The next `size` bytes; goes on to the block after them."""
        data = self._read(size)
        if len(data) < size:
            raise BrokenTar("truncated")
        self._read(-size % BLOCK)
        return data

    def pass_over(self, size: int) -> None:
        """Go on to the block after the next `size` bytes."""
        size += -size % BLOCK
        if self._length is not None:
            if self._handle.tell() + size > self._length:
                raise BrokenTar("truncated")
            self._handle.seek(size, 1)
            return
        while size > 0:
            read = len(self._read(min(size, STEP)))
            if not read:
                raise BrokenTar("truncated")
            size -= read

    def _plain(self) -> Header | None:
        """The next header by itself, without what others say of the same member."""
        block = self._read(BLOCK)
        try:
            found = tarfile.TarInfo.frombuf(block, *TEXT)
        except tarfile.HeaderError as error:
            if block == bytes(BLOCK):
                self._prove_end()
                return None
            reason = "truncated, or without an end mark" if len(block) < BLOCK else f"no .tar from here on: {error}"
            raise BrokenTar(reason) from None
        if found.size < 0:
            raise BrokenTar("a size below zero")
        sparse = found.type == tarfile.GNUTYPE_SPARSE
        if sparse and block[MORE_HOLES]:
            while self.content(BLOCK)[HOLES_GO_ON]:
                pass
        return Header(found.name, found.type, 0 if found.type in NO_CONTENT else found.size, sparse)

    def _prove_end(self) -> None:
        """Raise BrokenTar unless all that is left is zeros: two archives in one file, or zeros over a header."""
        while block := self._read(STEP):
            if any(block):
                raise BrokenTar("more follows its end mark")

    def _extension(self, header: Header) -> bytes:
        if header.size > MAX_EXTENSION:
            raise BrokenTar(f"a header of {header.size:,} bytes, limit {MAX_EXTENSION:,}")
        return self.content(header.size)

    def _read(self, size: int) -> bytes:
        try:
            return self._handle.read(size)
        except (EOFError, zlib.error, BadGzipFile) as error:
            raise BrokenTar(f"its compression is damaged: {error}") from None


def pax_records(data: bytes) -> dict[str, str]:
    """The records of a POSIX extended header: each is 'LENGTH KEY=VALUE' and a line feed. Raises BrokenTar."""
    records = {}
    while data.rstrip(b"\0"):
        length, space, _ = data.partition(b" ")
        end = _number(length) if length.isdigit() else 0
        key, mark, value = data[len(length) + 1 : max(end - 1, 0)].partition(b"=")
        if not space or not mark or data[end - 1 : end] != b"\n":
            raise BrokenTar("a damaged extended header")
        records[key.decode(*TEXT)] = value.decode(*TEXT)
        data = data[end:]
    return records


def _number(digits: str | bytes) -> int:
    """Raises BrokenTar for one that no archive needs; Python refuses some thousands of digits in its own way."""
    if len(digits) > MOST_DIGITS:
        raise BrokenTar("a damaged extended header")
    return int(digits)
