"""Names, and short values, of the metadata in an image file. Imports no torch, no pandas."""

import re
from typing import Any

from PIL import ExifTags, Image

LONGEST = 60  # characters of a value that is kept; longer ones are no label that many files share
XMP_NAME = re.compile(rb"<?([A-Za-z][\w-]*:[A-Z]\w*)(?:=\"([^\"<]{0,60})\"|>([^<]{0,60})<)")
EXIF_BLOCKS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# Pillow's own names for what is no metadata of the file, or is told elsewhere.
NOT_TAGS = frozenset(
    {"exif", "xmp", "icc_profile", "progressive", "progression", "interlace", "transparency", "background", "duration"}
    | {"loop", "timestamp", "jfif", "jfif_unit", "photoshop", "adobe", "adobe_transform", "compression", "extension"}
    | {"version", "XML:com.adobe.xmp", "Raw profile type exif", "bbox", "mpoffset", "flashpix", "default_image"}
)


def tags_of(image: Image.Image) -> set[str]:
    """Traits such as 'tag Software', 'tag Software = GIMP 2.10', 'comment' and 'segment APP13' of an opened image."""
    found: set[str] = set()
    for read in (_segments, _exif, _xmp, _info):
        try:
            found |= read(image)
        except Exception:  # damaged metadata may raise anything; what was found before stands
            found.add(f"damaged {read.__name__.strip('_')}")
    return found


def _segments(image: Image.Image) -> set[str]:
    """JPEG's application segments, by number, and its comments."""
    return {f"segment {name}" for name, _ in getattr(image, "applist", [])}


def _exif(image: Image.Image) -> set[str]:
    exif = image.getexif()
    found: set[str] = set()
    for number, value in exif.items():
        found |= _trait("tag", ExifTags.TAGS.get(number, f"{number:#06x}"), value)
    for block in EXIF_BLOCKS:
        names = ExifTags.GPSTAGS if block == ExifTags.IFD.GPSInfo else ExifTags.TAGS
        for number, value in exif.get_ifd(block).items():
            found |= _trait("tag", names.get(number, f"{number:#06x}"), value)
    return found


def _xmp(image: Image.Image) -> set[str]:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    data = packet.encode() if isinstance(packet, str) else bytes(packet)
    found: set[str] = set()
    for name, attribute, text in XMP_NAME.findall(data[: 2**20]):
        found |= _trait("XMP", name.decode("latin-1"), (attribute or text).decode("utf-8", "replace"))
    return found


def _info(image: Image.Image) -> set[str]:
    """PNG's and GIF's texts, comments, resolution and the like."""
    found: set[str] = set()
    for name, value in image.info.items():
        if str(name) not in NOT_TAGS:
            found |= _trait("entry", str(name), value)
    return found


def _trait(kind: str, name: str, value: Any) -> set[str]:
    """'tag Software', and with a short value also 'tag Software = GIMP'."""
    trait, shown = f"{kind} {name[:LONGEST]}", _text(value)
    return {trait, f"{trait} = {shown}"} if shown and len(shown) <= LONGEST else {trait}


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return " ".join(text.replace("\0", " ").split())
