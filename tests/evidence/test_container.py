from io import BytesIO
from zipfile import ZipFile

import pytest
from PIL import Image

from dfd.evidence.container import container_of
from tests.images import encoded, picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
WITH_AN_END = ("JPEG", "PNG", "WEBP", "GIF")
GOOD = {kind: encoded(picture(2, 40, 30), kind) for kind in FORMATS}


def archive() -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as files:
        files.writestr("hidden.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_format_is_known_by_its_content(kind: str) -> None:
    found = container_of(GOOD[kind], "a.jpg")
    assert found.format == kind and found.misnamed == (kind != "JPEG")
    assert found.trailing == 0 and found.foreign == ()


@pytest.mark.parametrize("kind", WITH_AN_END)
def test_what_lies_behind_the_end_is_counted_and_named(kind: str) -> None:
    assert container_of(GOOD[kind]).complete is True
    found = container_of(GOOD[kind] + archive())
    assert (found.trailing, found.trailing_kind, found.foreign) == (len(archive()), "a ZIP archive", ("a ZIP archive",))
    assert container_of(GOOD[kind] + bytes(100)).trailing == 0, "padding is nothing"


@pytest.mark.parametrize("kind", WITH_AN_END)
def test_a_file_cut_short(kind: str) -> None:
    assert container_of(GOOD[kind][:-30]).complete is False


def test_animations_are_one_picture() -> None:
    frames = [Image.fromarray(picture(seed, 32, 32)).convert("P") for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert container_of(data).complete is True and container_of(data).trailing == 0


def test_what_cameras_add_is_no_other_kind_of_file() -> None:
    found = container_of(GOOD["JPEG"] + GOOD["JPEG"])
    assert found.trailing_kind == "a JPEG picture" and found.foreign == ()
    motion = container_of(GOOD["JPEG"] + b"\0\0\0\x18ftypmp42" + bytes(50) + b"x")
    assert motion.trailing_kind == "a video" and motion.foreign == ()


@pytest.mark.parametrize(
    ("woven", "told"),
    [
        (b"<script>alert(1)</script>", "a web page or script"),
        (b"<?php system($_GET['c']); ?>", "a web page or script"),
        (b"%PDF-1.7 and so on", "a PDF document"),
    ],
)
def test_another_kind_of_file_in_a_comment(woven: bytes, told: str) -> None:
    assert container_of(encoded(picture(2), comment=woven)).foreign == (told,)


def test_an_archive_needs_its_closing_record_at_the_end() -> None:
    assert container_of(GOOD["PNG"] + b"PK\x05\x06" + bytes(100)).foreign != ()
    assert container_of(encoded(picture(2), comment=b"PK\x05\x06" + bytes(18))).foreign == ()


def test_an_unknown_format_has_no_name() -> None:
    assert container_of(b"hello", "a.png").format == ""
    assert not container_of(b"hello", "a.png").misnamed


def test_an_avif_of_a_general_brand_is_one() -> None:
    assert container_of(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(20), "a.avif").format == "AVIF"
    assert container_of(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(20), "a.heic").format == "HEIF"
