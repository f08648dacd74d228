"""How a JPEG file is built: its segments, where it ends, and how it was encoded.

Read from the bytes and not by a decoder, so that what lies behind the end, or is hidden in a segment, shows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dfd.evidence.tables import quality_of, standard_quality

START, END, SCAN, TABLES = 0xD8, 0xD9, 0xDA, 0xDB
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
APPLICATION = range(0xE0, 0xF0)
MOST_SEGMENTS = 10_000
NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # within a scan: no stuffed byte, fill or restart
# From the file's order of a table's steps to rows (ITU-T T.81, figure 5).
ZIGZAG = (
    *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48),
    *(41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23),
    *(30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
)
SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}


@dataclass(frozen=True)
class Segment:
    """A marker and its content, without the length."""

    marker: int
    content: bytes


@dataclass(frozen=True)
class Structure:
    """The segments of a file's first image, and the place of the byte after its end; None if there is no end."""

    segments: tuple[Segment, ...]
    end: int | None


@dataclass(frozen=True)
class Encoding:
    """How the pixels were encoded.

    `quality` 1..100 is that of the standard tables, or, where `standard` is False, the nearest to them. `subsampling`
    of the colours, such as '4:2:0'; 'none' for a grey picture. `luma` is the table of the luminance, row by row.
    """

    quality: int
    standard: bool
    subsampling: str
    progressive: bool
    luma: tuple[int, ...]


def structure_of(data: bytes) -> Structure:
    """Walk through a JPEG file's segments; stops at damage, with what was found so far."""
    segments: list[Segment] = []
    place = 2
    while len(segments) < MOST_SEGMENTS:
        while data[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        if place + 2 > len(data) or data[place] != 0xFF:
            return Structure(tuple(segments), None)
        marker = data[place + 1]
        if marker == END:
            return Structure(tuple(segments), place + 2)
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if length < 2:
            return Structure(tuple(segments), None)
        segments.append(Segment(marker, data[place + 4 : place + 2 + length]))
        place += 2 + length
        if marker == SCAN:
            found = NEXT_MARKER.search(data, place)
            if found is None:
                return Structure(tuple(segments), None)
            place = found.start()
    return Structure(tuple(segments), None)


def encoding_of(structure: Structure) -> Encoding | None:
    """From the tables and the frame header; None if one of them is missing or damaged."""
    frame = next((each for each in structure.segments if each.marker in FRAMES), None)
    tables = _tables(structure)
    if frame is None or len(frame.content) < 6 + 3 * frame.content[5] or not frame.content[5]:
        return None
    components = [frame.content[6 + 3 * number : 9 + 3 * number] for number in range(frame.content[5])]
    luma = tables.get(components[0][2])
    if luma is None:
        return None
    chroma = tables.get(components[1][2]) if len(components) > 1 and components[1][2] != components[0][2] else None
    quality = standard_quality(luma, chroma)
    return Encoding(
        quality=quality or quality_of(luma),
        standard=quality is not None,
        subsampling=_subsampling(components),
        progressive=frame.marker in PROGRESSIVE,
        luma=luma,
    )


def _tables(structure: Structure) -> dict[int, tuple[int, ...]]:
    """Quantisation tables [64] by number, row by row."""
    found: dict[int, tuple[int, ...]] = {}
    for segment in structure.segments:
        if segment.marker == TABLES:
            found |= dict(_tables_in(segment.content))
    return found


def _tables_in(content: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    place = 0
    while place < len(content):
        wide, number = content[place] >> 4, content[place] & 15
        size = 128 if wide else 64
        steps = content[place + 1 : place + 1 + size]
        if len(steps) < size:
            return
        values = [int.from_bytes(steps[at : at + 2], "big") for at in range(0, 128, 2)] if wide else list(steps)
        rows = [0] * 64
        for at, value in zip(ZIGZAG, values, strict=True):
            rows[at] = value
        yield number, tuple(rows)
        place += 1 + size


def _subsampling(components: list[bytes]) -> str:
    """From the sampling factors: how many samples of the luminance there are for one of the colours."""
    if len(components) < 3:
        return "none"
    luma, colour = components[0][1], components[1][1]
    across, down = (luma >> 4, colour >> 4), (luma & 15, colour & 15)
    if not across[1] or not down[1] or across[0] % across[1] or down[0] % down[1]:
        return "other"
    return SAMPLINGS.get((across[0] // across[1], down[0] // down[1]), "other")
