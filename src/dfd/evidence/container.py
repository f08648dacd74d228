"""Which format a file's first bytes are of, where its picture ends, and what lies behind or hides in it."""

import os
import re
from dataclasses import dataclass

from dfd.evidence.jpeg import structure_of

MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftyp(avi[fs]|m[is]f1.{4}(.{4}){0,6}?avi[fs])", re.DOTALL)),  # by a compatible brand too
    ("HEIF", re.compile(rb"....ftyp(heic|heix|hevc|mif1|msf1)", re.DOTALL)),
    ("JPEG2000", re.compile(rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")),
    ("TIFF", re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+")),
    ("BMP", re.compile(rb"BM")),
    ("PPM", re.compile(rb"P[1-7][\s#]")),
)
BY_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **dict.fromkeys((".heic", ".heif"), "HEIF"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx"), "JPEG2000"),
    **{".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".avif": "AVIF", ".bmp": "BMP"},
}
# What may follow a picture or be woven into it. The first that fits names it.
FOREIGN = (
    ("a JPEG picture", re.compile(rb"\xff\xd8\xff")),
    ("a PNG picture", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("a video", re.compile(rb"....ftyp", re.DOTALL)),
    ("a ZIP archive", re.compile(rb"PK\x03\x04|PK\x05\x06")),
    ("a RAR archive", re.compile(rb"Rar!\x1a\x07")),
    ("a 7z archive", re.compile(rb"7z\xbc\xaf\x27\x1c")),
    ("a PDF document", re.compile(rb"%PDF-")),
    ("a program", re.compile(rb"\x7fELF|MZ[\x00-\xff]{2}\x00")),
    ("a web page", re.compile(rb"\s*<(!doctype|html|script|\?php|svg|iframe)", re.IGNORECASE)),
)
HARMLESS = ("a JPEG picture", "a PNG picture", "a video")  # cameras add previews, depth maps and motion
WOVEN = (
    ("a web page or script", re.compile(rb"<(script|html|!doctype html|\?php|iframe)[\s>]", re.IGNORECASE)),
    ("a PDF document", re.compile(rb"%PDF-1\.\d")),
)
SEARCHED = 2**20  # bytes at each end of the file
MOST_BLOCKS = 1_000_000  # of a PNG or GIF: a file of nothing but small ones would take minutes
ZIP_END = b"PK\x05\x06"
ZIP_TAIL = 22 + 65_535  # bytes: the record at an archive's end with the longest comment


@dataclass(frozen=True)
class Container:
    """The shell of a picture.

    `format` as the bytes say and `by_suffix` as the name says, '' where unknown. `trailing` counts the bytes behind the
    picture's end, `trailing_kind` says what they are, '' if that is not known. `foreign` names other kinds of file that
    this one can also be read as. `complete` is False where the end is missing, None where it isn't looked for.
    """

    format: str
    by_suffix: str
    complete: bool | None
    trailing: int
    trailing_kind: str
    foreign: tuple[str, ...]

    @property
    def misnamed(self) -> bool:
        """Whether the suffix promises another format."""
        return bool(self.format and self.by_suffix) and self.format != self.by_suffix


def container_of(data: bytes, name: str = "") -> Container:
    """Look at a file's content; `name` gives the suffix."""
    kind = format_of(data)
    end = end_of(data, kind)
    tail = data[end:] if end is not None else b""
    tail_kind = _kind_of(tail) if tail.strip(b"\0\r\n ") else ""
    foreign = {told for told, pattern in WOVEN if any(pattern.search(part) for part in _ends(data))}
    if _holds_zip(data):
        foreign.add("a ZIP archive")
    if tail_kind and tail_kind not in HARMLESS:
        foreign.add(tail_kind)
    return Container(
        format=kind,
        by_suffix=BY_SUFFIX.get(os.path.splitext(name)[1].lower(), ""),
        complete=None if kind not in ENDS else end is not None,
        trailing=len(tail) if tail.strip(b"\0\r\n ") else 0,
        trailing_kind=tail_kind,
        foreign=tuple(sorted(foreign)),
    )


def format_of(data: bytes) -> str:
    """The format by the first bytes, named as Pillow names it; '' if it is none of MAGIC."""
    return next((kind for kind, pattern in MAGIC if pattern.match(data)), "")


def end_of(data: bytes, kind: str) -> int | None:
    """The place of the byte after the picture; None if it has no end or the format is not one of ENDS."""
    return ENDS[kind](data) if kind in ENDS else None


def _end_of_jpeg(data: bytes) -> int | None:
    return structure_of(data).end


def _end_of_png(data: bytes) -> int | None:
    place = 8
    for _ in range(MOST_BLOCKS):
        if place + 12 > len(data):
            return None
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        if kind == b"IEND" and place <= len(data):
            return place
    return None


def _end_of_webp(data: bytes) -> int | None:
    end = 8 + int.from_bytes(data[4:8], "little")
    end += end % 2
    return end if end <= len(data) else None


def _end_of_gif(data: bytes) -> int | None:
    """Past the colour tables and blocks, to the trailer."""
    place, blocks = 13 + _colours(data[10:11]), 0
    while place < len(data) and blocks < MOST_BLOCKS:
        kind = data[place]
        if kind == 0x3B:
            return place + 1
        if kind == 0x21:
            place += 2
        elif kind == 0x2C:
            place += 11 + _colours(data[place + 9 : place + 10])
        else:
            return None
        while place < len(data) and data[place] and blocks < MOST_BLOCKS:
            place, blocks = place + 1 + data[place], blocks + 1
        place, blocks = place + 1, blocks + 1
    return None


def _colours(flags: bytes) -> int:
    """Bytes of a GIF's colour table."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


ENDS = {"JPEG": _end_of_jpeg, "PNG": _end_of_png, "WEBP": _end_of_webp, "GIF": _end_of_gif}


def _kind_of(tail: bytes) -> str:
    start = tail[: 2**12].lstrip(b"\0")
    return next((told for told, pattern in FOREIGN if pattern.match(tail) or pattern.match(start)), "")


def _ends(data: bytes) -> tuple[bytes, ...]:
    """The parts that are searched: all of a small file."""
    return (data,) if len(data) <= 2 * SEARCHED else (data[:SEARCHED], data[-SEARCHED:])


def _holds_zip(data: bytes) -> bool:
    """Whether unzip would find an archive: its closing record, whose comment reaches just to the end of the file."""
    tail = data[-ZIP_TAIL:]
    place = tail.rfind(ZIP_END)
    while place >= 0:
        if len(tail) - place >= 22 and place + 22 + int.from_bytes(tail[place + 20 : place + 22], "little") == len(
            tail
        ):
            return True
        place = tail.rfind(ZIP_END, 0, place)
    return False
