"""Entries that say which program made or changed a picture: XMP, IPTC, and the texts of PNG and other formats.

Generators write such entries unless told not to, and any program can remove or forge them.
"""

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, IptcImagePlugin

from dfd.evidence.generators import mention, wrote
from dfd.evidence.text import clean

SEARCHED = 2**20  # bytes of an XMP packet that are searched
TEXT = 2**16  # characters of a text that are searched
MOST = 20  # entries that are told
# IPTC's vocabulary "digital source type": of the values, those that tell of a trained generator's part. Not among them:
# algorithmicMedia (by a formula, without training data) and virtualRecording (of an event in a virtual place).
SOURCE_TYPE = re.compile(r"digitalsourcetype/(\w{1,60})", re.IGNORECASE)
GENERATED = ("trainedAlgorithmicMedia",)
PARTLY = ("compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
XMP_FIELDS = re.compile(
    r"(xmp:CreatorTool|photoshop:Credit|tiff:Software|Iptc4xmpExt:AISystemUsed|stEvt:softwareAgent)"
    r"(?:\s*=\s*\"([^\"<]{1,200})\"|>\s*(?:<rdf:\w+>\s*<rdf:li[^>]{0,80}>)?([^<]{1,200})<)"
)
REMOTE = re.compile(r"dcterms:provenance\s*(?:=\s*\"|>)\s*https?://([^/\"<\s]{1,100})")
PROGRAM_KEYS = ("Software", "software", "Creator", "Source")  # a name in a title or a comment may be mere talk
SOFTWARE_KEYS = ("Software", "software", "Creator", "Author", "Source", "Comment", "comment", "Description", "Title")
IPTC_FIELDS = {(2, 65): "IPTC program", (2, 110): "IPTC credit", (2, 115): "IPTC source"}


@dataclass(frozen=True)
class Entry:
    """Where something was found, and what; both safe to print."""

    where: str
    what: str


@dataclass(frozen=True)
class Origin:
    """`generated`: entries that say a generator made (a part of) the picture, or that have the form of its own.

    `named`: free texts with a generator's name in them, which may say anything of it. `software`: other programs named.
    `source_types` are IPTC's digital source types as in XMP. `remote` is the host on which content credentials are said
    to lie; nothing is fetched.
    """

    generated: tuple[Entry, ...]
    named: tuple[Entry, ...]
    software: tuple[Entry, ...]
    source_types: tuple[str, ...]
    remote: str


def origin_of(image: Image.Image, exif_software: str = "", exif_comment: str = "") -> Origin:
    """Read the entries of an opened image; those of EXIF, which is read elsewhere, come as text."""
    read_behind(image)
    xmp = _xmp(image)
    texts = [*_texts(image), *_iptc(image), *_from_xmp(xmp)]
    texts += [("EXIF Software", exif_software), ("EXIF UserComment", exif_comment)]
    generated, named, software = [], [], []
    for where, text in texts:
        generator, place = wrote(_key(where), text), clean(where, 60)
        if generator:
            generated.append(Entry(place, f"{generator}: {clean(text, 120)}"))
        elif _is_free(where) and (quoted := mention(text)):
            named.append(Entry(place, quoted))
        elif text and (where.startswith(("XMP", "IPTC")) or _key(where) in SOFTWARE_KEYS):
            software.append(Entry(place, clean(text)))
    types = tuple(dict.fromkeys(SOURCE_TYPE.findall(xmp)))[:MOST]
    generated += [Entry("XMP DigitalSourceType", kind) for kind in types if kind in (*GENERATED, *PARTLY)]
    remote = REMOTE.search(xmp)
    return Origin(_some(generated), _some(named), _some(software), types, clean(remote[1], 100) if remote else "")


def read_behind(image: Image.Image) -> None:
    """Let Pillow read what a PNG holds behind its pixels, which it does only with them."""
    if image.format == "PNG":
        image.load()


def _some(entries: list[Entry]) -> tuple[Entry, ...]:
    return tuple(dict.fromkeys(entries))[:MOST]


def _key(where: str) -> str:
    return where.rsplit(maxsplit=1)[-1]


def _is_free(where: str) -> bool:
    """Whether a generator's name in it is told."""
    return _key(where) in PROGRAM_KEYS or where.startswith(("XMP", "IPTC"))


def _texts(image: Image.Image) -> list[tuple[str, str]]:
    """Texts of PNG, and comments of JPEG and GIF."""
    entries = {**image.info, **dict(getattr(image, "text", {}))}
    found = []
    for name, value in list(entries.items())[:1000]:
        if isinstance(value, bytes) and str(name) == "comment":
            found.append((f"text {name}", value[:TEXT].decode("utf-8", "replace")))
        elif isinstance(value, str) and str(name) not in ("xmp", "XML:com.adobe.xmp"):
            found.append((f"text {name}", value[:TEXT]))
    return found


def _xmp(image: Image.Image) -> str:
    packet: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet[:SEARCHED] if isinstance(packet, str) else bytes(packet)[:SEARCHED].decode("utf-8", "replace")


def _from_xmp(xmp: str) -> list[tuple[str, str]]:
    return [(f"XMP {name}", attribute or text) for name, attribute, text in XMP_FIELDS.findall(xmp)[:MOST]]


def _iptc(image: Image.Image) -> list[tuple[str, str]]:
    entries = IptcImagePlugin.getiptcinfo(image) or {} if isinstance(image, ImageFile.ImageFile) else {}
    found = []
    for key, where in IPTC_FIELDS.items():
        value = entries.get(key)
        values = value if isinstance(value, list) else [value]
        found += [(where, each[:2000].decode("utf-8", "replace")) for each in values[:MOST] if isinstance(each, bytes)]
    return found
