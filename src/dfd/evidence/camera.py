"""What EXIF says of camera and software, and the small picture it may hold. Never where the photograph was taken."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from dfd.data.decode import UnusableImage, open_image
from dfd.evidence.origin import read_behind
from dfd.evidence.text import clean

MOST_BYTES = 2**20  # a longer EXIF block is not looked into; cameras write 64 KB at most
THUMBNAIL_PIXELS = 2_000_000
SIDE = 64  # pixels a side at which the small picture and the large one are compared
ALIKE = 0.8  # correlation of the grey values; resizing, sharpening and tone change leave more
MOST_TAGS = 1000
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202
FIELDS = {
    "make": ExifTags.Base.Make,
    "model": ExifTags.Base.Model,
    "software": ExifTags.Base.Software,
    "changed": ExifTags.Base.DateTime,
}
INNER_FIELDS = {
    "lens": ExifTags.Base.LensModel,
    "taken": ExifTags.Base.DateTimeOriginal,
    "comment": ExifTags.Base.UserComment,
}


@dataclass(frozen=True)
class Camera:
    """EXIF in short; '' for what is not there.

    `taken` and `changed` are dates as the file writes them. `position` says only whether there is one. `thumbnail` is
    the correlation -1..1 of the small picture with the large one, None if there is none or it can't be read. `bytes`
    of the block; one beyond MOST_BYTES is not read.
    """

    bytes: int = 0
    tags: int = 0
    make: str = ""
    model: str = ""
    lens: str = ""
    software: str = ""
    taken: str = ""
    changed: str = ""
    comment: str = ""
    orientation: int = 1
    position: bool = False
    thumbnail: float | None = None


def camera_of(image: Image.Image, max_pixels: int) -> Camera:
    """Read the EXIF of an opened image; pixels are decoded of PNG alone, or if there is a small picture to compare."""
    read_behind(image)
    block = bytes(image.info.get("exif") or b"")
    if len(block) > MOST_BYTES:
        return Camera(bytes=len(block))
    exif = image.getexif()
    inner, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    texts = {name: _text(exif.get(tag)) for name, tag in FIELDS.items()}
    texts |= {name: _text(inner.get(tag)) for name, tag in INNER_FIELDS.items()}
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return Camera(
        bytes=len(block),
        tags=min(MOST_TAGS, len(exif) + len(inner) + len(gps)),
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        position=ExifTags.GPS.GPSLatitude in gps or ExifTags.GPS.GPSLongitude in gps,
        thumbnail=_likeness(image, exif, block, max_pixels),
        **texts,
    )


def _text(value: object) -> str:
    """A tag as text; the first eight bytes of a user comment name its encoding (EXIF 2.3, 4.6.5)."""
    if isinstance(value, bytes):
        mark, rest = value[:8], value[8:]
        if mark == b"UNICODE\0":
            rest = rest[:2000]
            return clean(rest.decode("utf-16-be" if rest[:1] == b"\0" else "utf-16-le", "replace"))
        value = rest if mark in (b"ASCII\0\0\0", bytes(8)) else value
    return clean("" if value is None else value).strip("\0 ")


def _likeness(image: Image.Image, exif: Image.Exif, block: bytes, max_pixels: int) -> float | None:
    """How far the small picture in EXIF shows the large one."""
    entries = exif.get_ifd(ExifTags.IFD.IFD1)
    offset, length = entries.get(THUMBNAIL_OFFSET), entries.get(THUMBNAIL_LENGTH)
    if not isinstance(offset, int) or not isinstance(length, int) or image.width * image.height > max_pixels:
        return None
    start = 6 if block.startswith(b"Exif\0\0") else 0
    content = block[start + offset : start + offset + length]
    try:
        small = open_image(content, THUMBNAIL_PIXELS)
        small.load()
        large = image.copy()  # decodes as it is stored: EXIF's small picture is not turned either
    except (UnusableImage, OSError, SyntaxError, ValueError):
        return None
    return likeness(np.asarray(small.convert("L")), large)


def likeness(small: NDArray[np.uint8], large: Image.Image) -> float:
    """Correlation -1..1 of a small grey picture [h, w] with a large one, of which it may be framed by bars."""
    grey = np.asarray(large.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    found = []
    for part in (small, _within_bars(small, large.width / large.height)):
        shrunk = np.asarray(Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
        if grey.std() > 0 and shrunk.std() > 0:
            found.append(float(np.corrcoef(grey.ravel(), shrunk.ravel())[0, 1]))
    return max(found, default=1.0)  # a flat picture can't be told from another


def _within_bars(small: NDArray[np.uint8], proportion: float) -> NDArray[np.uint8]:
    """The middle of a picture in the proportion width / height of another."""
    height, width = small.shape
    kept_width, kept_height = min(width, round(height * proportion)), min(height, round(width / proportion))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return np.ascontiguousarray(small[top : top + max(1, kept_height), left : left + max(1, kept_width)])
