"""What is read from a file, and what is made of files that hold nothing or nonsense."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dfd.audit.container import quantisation_of
from dfd.audit.nuisance import describe
from dfd.audit.reading import describe_all
from tests.images import encoded, hostile, picture, write_picture


def exif(**tags: str) -> Image.Exif:
    made = Image.Exif()
    for number, value in ((0x0131, tags.get("software")), (0x010F, tags.get("make"))):
        if value:
            made[number] = value
    return made


def written(folder: Path, name: str, **options: object) -> Path:
    path = folder / name
    Image.fromarray(picture(1)).save(path, **options)
    return path


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_told_exactly(tmp_path: Path, quality: int) -> None:
    path = written(tmp_path, "a.jpg", quality=quality)
    assert describe(path, 10**6).numbers["quantisation: JPEG quality"] == quality


def test_what_is_no_jpeg_has_no_quality() -> None:
    with Image.new("RGB", (4, 4)) as image:
        assert set(quantisation_of(image).values()) == {0.0}


def test_format_traits(tmp_path: Path) -> None:
    plain = describe(written(tmp_path, "a.jpg", subsampling="4:4:4"), 10**6).traits
    other = describe(
        written(tmp_path, "b.jpg", progressive=True, subsampling="4:2:0", icc_profile=b"x" * 40), 10**6
    ).traits
    assert {"format: JPEG", "format: mode RGB", "format: chroma subsampling 4:4:4"} <= plain
    assert other - plain >= {"format: progressive", "format: chroma subsampling 4:2:0", "format: ICC profile"}
    assert "format: PNG" in describe(written(tmp_path, "c.png"), 10**6).traits


def test_metadata_of_all_kinds_is_named(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a portrait, steps 20")
    xmp = b'<x:xmpmeta><rdf:Description xmp:CreatorTool="Firefly 3"/></x:xmpmeta>'
    jpeg = describe(
        written(tmp_path, "a.jpg", exif=exif(software="GIMP 2.10", make="Canon"), comment=b"hi", xmp=xmp), 10**6
    )
    png = describe(written(tmp_path, "b.png", pnginfo=text), 10**6)
    assert jpeg.traits >= {
        "metadata: tag Software",
        "metadata: tag Software = GIMP 2.10",
        "metadata: tag Make = Canon",
        "metadata: entry comment = hi",
        "metadata: XMP xmp:CreatorTool = Firefly 3",
    }
    assert "metadata: entry parameters = a portrait, steps 20" in png.traits
    clean = describe(written(tmp_path, "c.png"), 10**6).traits
    assert not [trait for trait in clean if trait.startswith("metadata")]


def test_damaged_metadata_is_a_trait_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture(1), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40))
    assert describe(path, 10**6).error == ""


def test_size_and_colours_are_of_the_picture_as_shown(tmp_path: Path) -> None:
    turned = exif()
    turned[0x0112] = 6
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 10), (200, 100, 0)).save(path, exif=turned)
    found = describe(path, 10**6)
    assert (found.numbers["size: width"], found.numbers["size: height"]) == (10, 40)
    assert found.numbers["colour: mean of red"] == pytest.approx(200)
    assert found.numbers["colour: deviation of green"] == pytest.approx(0)
    assert found.numbers["bytes_per_pixel: bytes per pixel"] == path.stat().st_size / 400
    assert found.thumbnail is not None and found.thumbnail.shape == (8, 8, 3)
    assert found.blurred is not None and found.blurred.shape == (20, 20)


def test_colours_equal_those_of_numpy(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png")
    numbers, pixels = describe(path, 10**6).numbers, picture(1).astype(float)
    for channel, name in enumerate(("red", "green", "blue")):
        assert numbers[f"colour: mean of {name}"] == pytest.approx(pixels[..., channel].mean())
        assert numbers[f"colour: deviation of {name}"] == pytest.approx(pixels[..., channel].std())


def test_hostile_files_have_a_reason(tmp_path: Path) -> None:
    for name, reason in hostile(tmp_path / "hostile").items():
        assert describe(tmp_path / "hostile" / name, 64_000_000).error == reason


def test_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_picture(tmp_path / f"{number}.jpg", number, width=20, height=16) for number in range(5)]
    paths.insert(2, tmp_path / "none.jpg")
    alone = describe_all(paths, 10**6)
    monkeypatch.setattr("dfd.audit.reading.SERIAL", 1)
    monkeypatch.setattr("dfd.audit.reading.CHUNK", 2)
    together = describe_all(paths, 10**6, workers=2)
    assert [record.numbers for record in together] == [record.numbers for record in alone]
    assert [record.traits for record in together] == [record.traits for record in alone]
    assert [record.error for record in together] == ["", "", "no such file", "", "", ""]
    assert np.array_equal(together[0].blurred, alone[0].blurred)
