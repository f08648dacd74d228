"""Small images in every form that `dfd score` reads."""

import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories import pixels


def encoded(seed: int, size: tuple[int, int] = (40, 40)) -> bytes:
    """A PNG of noise, half of them with a grid."""
    file = BytesIO()
    image = Image.fromarray(pixels(np.random.default_rng(seed), seed % 2 == 1))
    image.resize(size).save(file, "PNG")
    return file.getvalue()


def tar_of(members: Sequence[tuple[str, bytes]], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, BytesIO(content))
    return file.getvalue()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`photos/` in the working folder: twelve images in two folders, one that is none, and a text."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        place = tmp_path / "photos" / f"{number % 2}" / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(number))
    (tmp_path / "photos" / "1" / "bad.jpg").write_text("hello")
    (tmp_path / "photos" / "notes.txt").write_text("hello")
    return tmp_path / "photos"
