import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfd.config import DataConfig
from dfd.data.decode import read_image
from dfd.data.sources import demo
from dfd.data.sources.base import Raw
from dfd.data.sources.demo import PHOTOGRAPHS, Demo
from dfd.errors import UserError

CONFIG = DataConfig(name="demo", module="demo", patches=60, patch_size=64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    return Demo().find(tmp_path_factory.mktemp("demo"), CONFIG)


def test_classes_photographs_and_kinds_are_balanced(made: Raw) -> None:
    table = made.table
    assert table.groupby("source").size().to_dict() == {
        "demo-real": 30,
        "demo-resynthesised": 15,
        "demo-spliced": 15,
    }
    assert set(table["group"]) == set(PHOTOGRAPHS)
    assert set(table.groupby("group").size()) == {4}


def test_each_fake_has_a_real_patch_of_the_same_place(made: Raw) -> None:
    pairs = made.table.groupby(["photograph", "x", "y"])["label"].agg(["sum", "count"])
    assert (pairs["count"] == 2 * pairs["sum"]).all()


def test_the_file_does_not_tell_the_class(made: Raw) -> None:
    seen = set()
    for path in made.table["path"]:
        with Image.open(made.root / path) as image:
            seen.add((image.format, image.size, image.mode, str(image.quantization), tuple(sorted(image.info))))  # type: ignore[attr-defined]
    assert len(seen) == 1


def test_fakes_differ_from_their_real_counterparts(made: Raw) -> None:
    for _, pair in made.table.groupby(["photograph", "x", "y"]):
        pixels = {row.source: read_image(made.root / row.path, 10**6).astype(float) for row in pair.itertuples()}
        real = pixels.pop("demo-real")
        for source, fake in pixels.items():
            difference = np.abs(real - fake).mean(axis=2)
            assert 0.5 < difference.mean() < 60
            if source == "demo-spliced":  # the corners are as they were, but for JPEG
                corners = difference[[0, 0, -1, -1], [0, -1, 0, -1]]
                assert np.median(corners) < 8


def test_grey_photographs_stay_grey(made: Raw) -> None:
    for path in made.table["path"][made.table["photograph"] == "camera"]:
        assert np.ptp(read_image(made.root / path, 10**6), axis=2).max() == 0


def test_made_once_and_the_same_again(made: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Demo().find(tmp_path, CONFIG)
    for path in made.table["path"]:
        assert (again.root / path).read_bytes() == (made.root / path).read_bytes()
    monkeypatch.setattr(demo, "_make", lambda *_: pytest.fail("made again"))
    assert Demo().find(tmp_path, CONFIG).table.equals(made.table)


def test_half_made_is_not_taken_for_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_splice", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Demo().find(tmp_path, CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [32, 256])
def test_any_size_will_do(tmp_path: Path, size: int) -> None:
    raw = Demo().find(tmp_path, DataConfig(name="demo", patches=60, patch_size=size))
    assert read_image(raw.root / raw.table["path"][0], 10**6).shape == (size, size, 3)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"astronaut.png from the package skimage"):
        Demo().find(tmp_path, CONFIG)


def test_nothing_is_imported_that_could_download() -> None:
    code = (
        "import sys, dfd.data.sources.demo; sys.exit(bool({'skimage', 'sklearn', 'pooch', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_two_first_uses_at_once_both_find_the_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one finds the folder made when its own is complete."""
    jpeg, small = demo._encode, replace(CONFIG, patches=4)
    raw, others = tmp_path / "raw", []

    def meanwhile(*values: Any) -> bytes:
        monkeypatch.setattr(demo, "_encode", jpeg)
        others.append(Demo().find(raw, small))
        return jpeg(*values)

    monkeypatch.setattr(demo, "_encode", meanwhile)
    found = Demo().find(raw, small)
    assert found.table.equals(others[0].table) and len(found.table) == 4
    assert len(list(raw.iterdir())) == 1, "nothing half made is left"


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    folder = tmp_path / f"4-of-64px-v{demo.VERSION}"
    (folder / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{folder.name}: .*not empty"):
        Demo().find(tmp_path, replace(CONFIG, patches=4))
