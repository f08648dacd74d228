"""Entries that say which program made or changed a picture: XMP, IPTC, and the texts of PNG and other formats.

Generators write such entries unless told not to, and any program can remove or forge them.
"""

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, IptcImagePlugin

from dfd.evidence.text import clean

SEARCHED = 2**20  # bytes of an XMP packet that are searched
TEXT = 2**16  # characters of a text that are searched
MOST = 20  # entries that are told
# IPTC's vocabulary "digital source type": of the values, those that tell of a machine's part.
SOURCE_TYPE = re.compile(r"digitalsourcetype/(\w{1,60})", re.IGNORECASE)
GENERATED = ("trainedAlgorithmicMedia", "algorithmicMedia", "virtualRecording")
PARTLY = ("compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
XMP_FIELDS = re.compile(
    r"(xmp:CreatorTool|photoshop:Credit|tiff:Software|Iptc4xmpExt:AISystemUsed|stEvt:softwareAgent)"
    r"(?:\s*=\s*\"([^\"<]{1,200})\"|>\s*(?:<rdf:\w+>\s*<rdf:li[^>]{0,80}>)?([^<]{1,200})<)"
)
REMOTE = re.compile(r"dcterms:provenance\s*(?:=\s*\"|>)\s*https?://([^/\"<\s]{1,100})")
# Names that a text of a picture has when a generator wrote it.
GENERATOR_KEYS = {
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
    "generation_data": "a Stable Diffusion service",
}
PARAMETERS = re.compile(r"\bSteps: \d{1,6}.{0,200}\b(Sampler|CFG scale|Seed): ", re.DOTALL)
COMFY_PROMPT = re.compile(r"\"class_type\"\s*:\s*\"")
GENERATORS = re.compile(
    r"stable diffusion|midjourney|dall[-· ]?e\b|novelai|comfyui|invokeai|automatic1111|fooocus|adobe firefly|"
    r"made with google ai|\bimagen\b|dreamstudio|leonardo\.?ai|bing image creator|gpt-image|\bflux\.1\b",
    re.IGNORECASE,
)
MIDJOURNEY = re.compile(r"\bJob ID: [0-9a-f]{8}-[0-9a-f-]{27}")
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
    """`generated`: entries that say a generator made (a part of) the picture. `software`: other programs named.

    `source_types` are IPTC's digital source types as in XMP. `remote` is the host on which content credentials are said
    to lie; nothing is fetched.
    """

    generated: tuple[Entry, ...]
    software: tuple[Entry, ...]
    source_types: tuple[str, ...]
    remote: str


def origin_of(image: Image.Image, exif_software: str = "", exif_comment: str = "") -> Origin:
    """Read the entries of an opened image; those of EXIF, which is read elsewhere, come as text."""
    read_behind(image)
    xmp = _xmp(image)
    texts = [*_texts(image), *_iptc(image), *_from_xmp(xmp)]
    texts += [("EXIF Software", exif_software), ("EXIF UserComment", exif_comment)]
    generated, software = [], []
    for where, text in texts:
        if not text:
            continue
        generator = _generator(where, text)
        if generator:
            generated.append(Entry(clean(where, 60), f"{generator}: {clean(text, 120)}"))
        elif where.startswith(("XMP", "IPTC")) or where.split()[-1] in SOFTWARE_KEYS:
            software.append(Entry(clean(where, 60), clean(text)))
    types = tuple(dict.fromkeys(SOURCE_TYPE.findall(xmp)))[:MOST]
    generated += [Entry("XMP DigitalSourceType", kind) for kind in types if kind in (*GENERATED, *PARTLY)]
    remote = REMOTE.search(xmp)
    return Origin(_some(generated), _some(software), types, clean(remote[1], 100) if remote else "")


def read_behind(image: Image.Image) -> None:
    """Let Pillow read what a PNG holds behind its pixels, which it does only with them."""
    if image.format == "PNG":
        image.load()


def _some(entries: list[Entry]) -> tuple[Entry, ...]:
    return tuple(dict.fromkeys(entries))[:MOST]


def _generator(where: str, text: str) -> str:
    """The generator that an entry speaks of, '' if none."""
    key = where.rsplit(maxsplit=1)[-1]
    if key in GENERATOR_KEYS:
        return GENERATOR_KEYS[key]
    if key == "prompt" and COMFY_PROMPT.search(text):
        return "ComfyUI"
    if PARAMETERS.search(text):
        return "settings of a Stable Diffusion program"
    if MIDJOURNEY.search(text):
        return "Midjourney"
    found = GENERATORS.search(text) if key in PROGRAM_KEYS or where.startswith(("XMP", "IPTC")) else None
    return clean(found[0], 40) if found else ""


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
