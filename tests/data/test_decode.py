import io
import os
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dfd.data import decode
from dfd.data.decode import UnusableImage, read_image
from tests.images import bomb, encoded, hostile, picture, turned, write_picture

LIMIT = 64_000_000


def read(data: bytes) -> np.ndarray:
    pixels = read_image(data, LIMIT)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


def test_a_png_is_read_exactly(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    np.testing.assert_array_equal(read_image(path, LIMIT), picture(1))
    np.testing.assert_array_equal(read_image(path.read_bytes(), LIMIT), picture(1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_in_xmp_alone_turns_nothing(kind: str) -> None:
    """As in a browser: a program that turned the pixels may have left it there."""
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    more = {"lossless": True} if kind == "WEBP" else {"quality": 95}
    file = io.BytesIO()
    image = Image.fromarray(picture(1))
    if kind == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(file, kind, pnginfo=text)
    else:
        image.save(file, kind, xmp=packet, **more)
    assert Image.open(file).getexif().get(274) == 6, "Pillow would turn it"
    assert read(file.getvalue()).shape == picture(1).shape
    np.testing.assert_allclose(read(file.getvalue()).mean((0, 1)), picture(1).mean((0, 1)), atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(orientation: int) -> None:
    np.testing.assert_array_equal(read(turned(picture(1), orientation)), picture(1))


def test_damaged_exif_is_ignored() -> None:
    data = encoded(picture(1), "PNG", exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(read(data), picture(1))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format: str) -> None:
    values = np.array([[0, 256, 257], [32768, 65278, 65535]], np.uint16)
    expected = np.array([[0, 1, 1], [128, 254, 255]], np.uint8)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(values), format)), np.stack([expected] * 3, axis=2))


def test_big_endian_16_bit_tiff() -> None:
    image = Image.frombytes("I;16B", (2, 1), b"\xff\xff\x80\x00")
    assert read(encoded(image, "TIFF"))[0, :, 0].tolist() == [255, 128]


def test_32_bit_grey_is_refused_unless_it_is_16_bit() -> None:
    assert read(encoded(Image.fromarray(np.array([[65535]], np.int32)), "TIFF")).tolist() == [[[255, 255, 255]]]
    with pytest.raises(UnusableImage, match="32-bit"):
        read(encoded(Image.fromarray(np.array([[65536]], np.int32)), "TIFF"))


@pytest.mark.parametrize(
    ("image", "format", "colour"),
    [
        (Image.new("L", (4, 4), 100), "PNG", (100, 100, 100)),
        (Image.new("1", (4, 4), 1), "PNG", (255, 255, 255)),
        (Image.new("LA", (4, 4), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), "WEBP", (255, 0, 0)),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 51)), "PNG", (204, 204, 204)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
    ],
    ids=["grey", "1-bit", "LA", "clear", "opaque", "half-clear", "CMYK"],
)
def test_modes(image: Image.Image, format: str, colour: tuple[int, int, int]) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    assert (read(encoded(image, format, **options)) == colour).all()


def test_cmyk_jpeg() -> None:
    pixels = read(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0))))
    assert (np.abs(pixels.astype(int) - (255, 0, 0)) < 10).all()


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_transparent_palette_colour_is_white(format: str) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 0)
    pixels = read(encoded(image, format, transparency=1))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1, 1].tolist() == [255, 255, 255]


def test_palette_with_many_alphas() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.putpixel((1, 0), 1)
    assert read(encoded(image, "PNG", transparency=b"\xff\x00"))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("format", ["WEBP", "GIF", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(format: str) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(first, format, save_all=True, append_images=[second], **options)
    assert (read(data) == (255, 0, 0)).all()


def test_hostile_files_give_their_reason(tmp_path: Path) -> None:
    reasons = {}
    for name in (expected := hostile(tmp_path)):
        with pytest.raises(UnusableImage) as caught:
            read_image(tmp_path / name, LIMIT)
        reasons[name] = caught.value.reason
    assert reasons == expected


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match="no such file"):
        read_image(tmp_path / "none.jpg", LIMIT)
    with pytest.raises(UnusableImage, match="a folder"):
        read_image(tmp_path, LIMIT)
    with pytest.raises(UnusableImage, match="not a possible file name"):
        read_image(Path("a\0b.jpg"), LIMIT)


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_picture(tmp_path / "a.jpg", 1)

    def refuse(*_: object) -> None:  # as root, permissions do not hold
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UnusableImage, match="permission denied"):
        read_image(path, LIMIT)


class Unread(io.FileIO):
    def read(self, *_: object) -> bytes:
        pytest.fail("was read")


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_picture(tmp_path / "a.jpg", 1)
    os.truncate(path, decode.MAX_BYTES + 1)  # sparse: takes no room
    monkeypatch.setattr(decode, "open_regular", lambda path: Unread(path, "rb"))
    with pytest.raises(UnusableImage, match=r"268,435,457 bytes, limit 268,435,456"):
        read_image(path, LIMIT)


def test_the_pixel_limit_is_inclusive_and_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(1, 20, 10), "PNG")
    assert read_image(data, 200).shape == (10, 20, 3)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("was decoded"))
    with pytest.raises(UnusableImage, match="200 pixels, limit 199"):
        read_image(data, 199)


def test_a_large_limit_is_not_cut_by_pillow() -> None:
    with Image.open(BytesIO(bomb(30_000, 10_000))) as image:
        assert image.size == (30_000, 10_000)
    decode.open_image(bomb(30_000, 10_000), 300_000_000)


def test_no_warning_leaks_even_where_warnings_are_errors() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([9, 9, 9])
    data = encoded(image, "PNG", transparency=b"\x00")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(data)


@settings(max_examples=150)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]), st.data())
def test_any_damage_gives_pixels_or_a_short_reason(format: str, draw: st.DataObject) -> None:
    data = bytearray(encoded(picture(3), format))
    for place in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=8)):
        data[place] = draw.draw(st.integers(0, 255))
    del data[draw.draw(st.integers(0, len(data))) :]
    try:
        read_image(bytes(data), 1_000_000)
    except UnusableImage as unusable:
        assert 0 < len(unusable.reason) < 160
        assert "\n" not in unusable.reason


@given(st.binary(max_size=200))
@example(b"BM" + bytes(60))
@example(b"P6 1 1 255\n")
def test_noise_is_no_image(data: bytes) -> None:
    with pytest.raises(UnusableImage):
        read_image(data, LIMIT)
