"""Any bytes at all: a finding or none, never an error, and never more than fits a card."""

import json
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dfd.evidence.evidence import Evidence, examine
from tests.images import bomb, encoded, picture

MAKERS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def with_exif(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0131] = "Maker", "Program"
    return encoded(picture(1), kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))


GOOD = {kind: with_exif(kind) for kind in MAKERS}


def checked(evidence: Evidence) -> dict[str, Any]:
    text = json.dumps(evidence.to_dict())
    assert len(text) < 20_000 and "\\u001b" not in text
    assert all(each.words.isprintable() for each in evidence.findings)
    return json.loads(text)


@given(st.binary(max_size=400))
@settings(max_examples=50)
def test_noise(data: bytes) -> None:
    checked(examine(data, 10**6, "noise.jpg"))


@given(st.sampled_from(MAKERS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=20))
@settings(max_examples=100)
def test_damaged_files(kind: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD[kind])
    for place, value in damage:
        data[place % len(data)] = value
    checked(examine(bytes(data), 10**6, f"damaged.{kind.lower()}"))


def test_damage_is_silent_on_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0131] = "Maker" * 10, "Program" * 10
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for length in range(16, len(exif.tobytes()), 7):
            checked(examine(encoded(picture(1), exif=exif.tobytes()[:length]), 10**6))
        for length in range(60, len(GOOD["TIFF"]), 97):
            examine(GOOD["TIFF"][:length], 10**6)
    assert capfd.readouterr() == ("", "") and not told


def test_a_bomb_is_not_decoded() -> None:
    found = examine(bomb(30_000, 30_000), 64_000_000, "bomb.png")
    assert found.container.format == "PNG" and any("limit 64,000,000" in reason for reason in found.failed)
    checked(found)


def test_a_file_that_says_nothing_says_so() -> None:
    words = [each.words for each in examine(encoded(picture(1)), 10**6).findings]
    assert any("says nothing about where it comes from" in each for each in words)
    assert not any("says nothing" in each.words for each in examine(GOOD["JPEG"], 10**6).findings)


def test_the_weightiest_comes_first() -> None:
    xmp = b'<x xmlns:x="a" D="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>'
    data = encoded(picture(1), xmp=xmp) + b"PK\x05\x06" + bytes(18)
    levels = [each.level for each in examine(data, 10**6, "a.png").findings]
    assert levels == sorted(levels, key=["strong", "notable", "plain"].index)
    assert levels[:3] == ["strong", "notable", "notable"]


def test_a_renamed_file() -> None:
    words = [each.words for each in examine(GOOD["PNG"], 10**6, "photo.JPG").findings]
    assert "The name says JPEG, but the content is PNG." in words


def test_the_parts_are_plain_values() -> None:
    found = checked(examine(GOOD["JPEG"], 10**6, "a.jpg"))
    assert found["jpeg"] == {"quality": 75, "standard": True, "subsampling": "4:2:0", "progressive": False}
    assert found["camera"]["make"] == "Maker" and found["container"]["misnamed"] is False
    assert found["credentials"] is None
