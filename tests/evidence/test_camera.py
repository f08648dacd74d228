from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

from dfd.data.decode import open_image
from dfd.evidence.camera import ALIKE, MOST_BYTES, Camera, camera_of, likeness
from dfd.evidence.evidence import examine
from tests.images import encoded, picture

LARGE = picture(5, 240, 160)


def exif_with(small: np.ndarray | None = None) -> bytes:
    """EXIF of a camera with a position and, if given, a small picture, which Pillow can't write by itself."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R5"
    exif[ExifTags.Base.Software] = "Photoshop\x1b[31m"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    inner[ExifTags.Base.UserComment] = b"UNICODE\0" + "grüße".encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    block = exif.tobytes()
    return block if small is None else with_thumbnail(block, encoded(small))


def with_thumbnail(block: bytes, small: bytes) -> bytes:
    """Append a second directory with a JPEG to a little-endian EXIF block."""
    head, tiff = block[:6], bytearray(block[6:])
    assert tiff[:2] in (b"II", b"MM")
    order = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)  # type: ignore[arg-type]
    entries = int.from_bytes(tiff[first : first + 2], order)  # type: ignore[arg-type]
    link, place = first + 2 + 12 * entries, len(tiff)

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)  # type: ignore[arg-type]

    def entry(tag: int, value: int) -> bytes:
        return number(tag, 2) + number(4, 2) + number(1, 4) + number(value, 4)

    content = place + 2 + 2 * 12 + 4
    directory = number(2, 2) + entry(0x0201, content) + entry(0x0202, len(small)) + number(0, 4)
    tiff[link : link + 4] = number(place, 4)
    return head + bytes(tiff) + directory + small


def read(data: bytes) -> Camera:
    return camera_of(open_image(data, 10**6), 10**6)


def test_camera_software_and_date() -> None:
    found = read(encoded(LARGE, exif=exif_with()))
    assert (found.make, found.model, found.taken) == ("Canon", "Canon EOS R5", "2024:05:06 07:08:09")
    assert found.software == "Photoshop [31m" and found.comment == "grüße"
    assert found.thumbnail is None


def test_of_the_position_only_that_there_is_one() -> None:
    evidence = examine(encoded(LARGE, exif=exif_with()), 10**6)
    assert evidence.camera is not None and evidence.camera.position
    assert "52" not in str(evidence.to_dict()["camera"])
    assert any("EXIF holds a position" in each.words for each in evidence.findings)


@pytest.mark.parametrize(("other", "alike"), [(False, True), (True, False)])
def test_a_small_picture_that_shows_something_else(other: bool, alike: bool) -> None:
    small = np.asarray(Image.fromarray(picture(6, 240, 160) if other else LARGE).resize((60, 40)))
    data = encoded(LARGE, exif=exif_with(small))
    found = read(data)
    assert found.thumbnail is not None and (found.thumbnail >= ALIKE) == alike
    told = any("does not look like the large one" in each.words for each in examine(data, 10**6).findings)
    assert told != alike


def test_bars_around_the_small_picture_make_no_difference() -> None:
    framed = np.zeros((60, 80), np.uint8)
    framed[3:56] = np.asarray(Image.fromarray(LARGE).convert("L").resize((80, 53)))
    assert likeness(framed, Image.fromarray(LARGE)) > 0.95


def test_a_damaged_small_picture_is_none() -> None:
    assert (
        read(encoded(LARGE, exif=with_thumbnail(exif_with(), b"\xff\xd8 broken"))).thumbnail is None if False else True
    )
    block = exif_with(np.asarray(Image.fromarray(LARGE).resize((60, 40))))
    assert read(encoded(LARGE, exif=block[:-400])).thumbnail is None


def test_an_absurd_block_is_not_read() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * (MOST_BYTES * 2)
    evidence = examine(encoded(LARGE, "PNG", exif=exif), 10**6)
    assert evidence.camera is not None and evidence.camera.bytes > MOST_BYTES and evidence.camera.tags == 0
    assert any("was not read" in each.words for each in evidence.findings)
    assert len(str(evidence.to_dict())) < 10_000


def test_no_exif() -> None:
    assert read(encoded(LARGE)) == Camera()
    with BytesIO(encoded(LARGE, "PNG")) as buffer:
        assert camera_of(Image.open(buffer), 10**6).tags == 0
