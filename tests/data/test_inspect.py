import hashlib
import os
import subprocess
import sys
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from dfd.data import inspect
from dfd.data.inspect import Record, describe, describe_all, perceptual_hash
from tests.images import encoded, hostile, picture, turned, write_picture

LIMIT = 64_000_000


def test_a_record_says_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data := turned(picture(1, 48, 40), 6))
    expected = str(imagehash.phash(Image.fromarray(picture(1, 48, 40)), hash_size=16))
    assert describe(path, LIMIT) == Record(hashlib.sha256(data).hexdigest(), expected, 48, 40, "PNG", len(data))


def test_hostile_files_become_records(tmp_path: Path) -> None:
    expected = hostile(tmp_path)
    records = describe_all([tmp_path / name for name in expected], LIMIT, workers=1)
    assert [record.error for record in records] == list(expected.values())
    assert {record.sha256 for record in records} == {""}


@pytest.mark.parametrize("colour", [0, 90, 255])
def test_flat_pictures_have_no_hash(colour: int) -> None:
    assert perceptual_hash(np.full((50, 60, 3), colour, np.uint8)) == ""


def test_regular_and_faint_pictures_have_no_hash() -> None:
    noise = np.random.default_rng(0).integers(100, 104, (64, 64, 3), np.uint8)
    assert perceptual_hash(noise) == ""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 32:] = 255
    assert perceptual_hash(stripes) == ""


def test_a_faint_picture_in_jpeg_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(np.full((64, 64, 3), (80, 130, 90), np.uint8)))
    assert describe(path, LIMIT).phash == ""


def test_worker_processes_give_the_same_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_picture(tmp_path / f"{number}.jpg", number) for number in range(6)]
    paths += [tmp_path / name for name in hostile(tmp_path / "bad")]
    monkeypatch.setattr(inspect, "SERIAL", 0)
    monkeypatch.setattr(inspect, "CHUNK", 4)
    monkeypatch.setattr(inspect, "FREE_PIXELS", 1)  # every image waits for its turn
    assert describe_all(paths, LIMIT, workers=2) == [describe(path, LIMIT) for path in paths]


class Deadly(os.PathLike):  # type: ignore[type-arg]
    """A path that ends the process that opens it, as a bug in a decoder might; harmless to its own process."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def stat(self) -> None:
        if os.getpid() != self.home:
            os._exit(11)

    def __fspath__(self) -> str:
        return "deadly.jpg"


def test_a_worker_that_dies_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [write_picture(tmp_path / f"{number}.jpg", number) for number in range(5)]
    monkeypatch.setattr(inspect, "SERIAL", 0)
    monkeypatch.setattr(inspect, "CHUNK", 2)
    records = describe_all([*good[:3], Deadly(), *good[3:]], LIMIT, workers=2)  # type: ignore[list-item]
    assert [record.error for record in records] == ["", "", "", "crashes the decoder", "", ""]


def test_neither_torch_nor_pandas_comes_with_it() -> None:
    code = "import sys, dfd.data.inspect; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
