from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfd.config import DataConfig, RuntimeConfig
from dfd.data import pixels
from dfd.data.manifest import Manifest
from dfd.data.pixels import pixels_of
from dfd.data.prepare import prepare
from dfd.errors import UserError
from dfd.runtime import Runtime, start
from tests.factories import two_class_folder


@pytest.fixture
def manifest(workdir: Path) -> Manifest:
    two_class_folder(workdir / "raw", each=20)
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = np.random.default_rng(1).integers(0, 256, (40, 40, 3))
    Image.fromarray(wide).save(workdir / "raw" / "real" / "wide.png")
    return prepare(DataConfig(name="own", source="raw"))


def runtime(workers: int = 0) -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=workers), cpu_bf16=False)


def test_each_image_is_its_middle_square_at_the_size_asked_for(manifest: Manifest) -> None:
    rows = manifest.table
    found = pixels_of(manifest, rows, 32, Path("data"), 10**6, runtime())
    assert found.shape == (len(rows), 32, 32, 3)
    assert found.dtype == np.uint8
    for row, path in enumerate(rows["path"]):
        image = Image.open(manifest.file(path)).convert("RGB")
        left = (image.width - image.height) // 2
        square = image.crop((left, 0, left + image.height, image.height))
        assert np.array_equal(found[row], square.resize((32, 32), Image.Resampling.LANCZOS))


def test_the_second_time_no_image_is_read(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(pixels_of(manifest, manifest.table, 32, Path("data"), 10**6, runtime(2)))
    monkeypatch.setattr(pixels, "loader", lambda *_: pytest.fail("images are read again"))
    assert np.array_equal(pixels_of(manifest, manifest.table, 32, Path("data"), 10**6, runtime()), first)


def test_other_rows_or_sizes_are_other_arrays(manifest: Manifest) -> None:
    whole = np.array(pixels_of(manifest, manifest.table, 32, Path("data"), 10**6, runtime()))
    some = pixels_of(manifest, manifest.table.iloc[5:9], 32, Path("data"), 10**6, runtime())
    assert np.array_equal(some, whole[5:9])
    assert pixels_of(manifest, manifest.table, 64, Path("data"), 10**6, runtime()).shape[1] == 64


def test_a_file_that_has_gone_is_named_and_nothing_is_kept(manifest: Manifest) -> None:
    manifest.file(manifest.table["path"][0]).unlink()
    with pytest.raises(UserError, match="no such file; the files have changed"):
        pixels_of(manifest, manifest.table, 32, Path("data"), 10**6, runtime())
    assert not list(Path("data/pixels").rglob("*.npy"))
