import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfd.config import DataConfig, RuntimeConfig
from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.prepare import prepare
from dfd.errors import UserError
from dfd.inference import cache
from dfd.inference.cache import features_of
from dfd.inference.forward import compute_features
from dfd.models.detector import Detector, build
from dfd.runtime import Runtime, start
from tests.factories import pixels, tiny_model, tiny_preprocessing, two_class_folder

LIMIT = 10**6


@pytest.fixture
def manifest(workdir: Path) -> Manifest:
    two_class_folder(workdir / "images", each=12)
    return prepare(data())


def data() -> DataConfig:
    return DataConfig(name="tiny", source="images")


@pytest.fixture
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


@pytest.fixture
def detector() -> Detector:
    return build(tiny_model(), tiny_preprocessing()).eval()


def compute(detector: Detector, manifest: Manifest, runtime: Runtime, **more: object) -> cache.Cached:
    return features_of(detector, manifest, Path("data"), LIMIT, 8, runtime, **more)


def never(*_: object, **__: object) -> None:
    pytest.fail("images were read")


def test_the_second_call_reads_no_image(
    manifest: Manifest, detector: Detector, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = manifest.table[manifest.table["split"] != "test"]
    images = Images([manifest.file(path) for path in rows["path"]], detector.preprocessing, LIMIT)
    expected, _ = compute_features(detector, images, 8, runtime)
    first = compute(detector, manifest, runtime)
    assert first.computed and isinstance(first.features, np.memmap)
    np.testing.assert_allclose(first.of(rows["sha256"])[0], expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(cache, "compute", never)
    again = compute(detector, manifest, runtime)
    assert not again.computed
    backwards = rows["sha256"].iloc[::-1]
    np.testing.assert_array_equal(again.of(backwards)[0], first.of(rows["sha256"])[0][::-1])


def test_test_images_are_kept_apart(manifest: Manifest, detector: Detector, runtime: Runtime) -> None:
    names = {test: set(compute(detector, manifest, runtime, test=test).rows["sha256"]) for test in (False, True)}
    table = manifest.table
    assert names[True] == set(table.loc[table["split"] == "test", "sha256"]) and not names[True] & names[False]


def test_a_changed_image_network_or_setting_has_features_of_its_own(
    manifest: Manifest, detector: Detector, runtime: Runtime
) -> None:
    folders = [compute(detector, manifest, runtime).folder]
    folders.append(compute(build(tiny_model(), tiny_preprocessing()), manifest, runtime).folder)
    other = build(tiny_model(), tiny_preprocessing(interpolation="bilinear"))
    other.load_state_dict(detector.state_dict())
    folders.append(compute(other, manifest, runtime).folder)
    folders.append(compute(detector, manifest, runtime, change=np.negative, change_name="negative").folder)
    path = next(manifest.file(path) for path in manifest.rows("train")["path"])
    Image.fromarray(pixels(np.random.default_rng(99), True)).save(path)
    changed = compute(detector, prepare(data()), runtime)
    assert changed.computed
    folders.append(changed.folder)
    assert len(set(folders)) == 5


def test_the_head_has_no_part_in_it(manifest: Manifest, detector: Detector, runtime: Runtime) -> None:
    compute(detector, manifest, runtime)
    detector.reset_head()
    assert not compute(detector, manifest, runtime).computed


def test_an_unreadable_image_has_a_reason_and_no_features(
    manifest: Manifest, detector: Detector, runtime: Runtime
) -> None:
    rows = manifest.rows("train")
    manifest.file(rows["path"][3]).write_bytes(b"no image")
    cached = compute(detector, manifest, runtime)
    features, errors = cached.of(rows["sha256"])
    assert set(errors) == {3} and np.isnan(features[3]).all() and np.isfinite(np.delete(features, 3, 0)).all()


def test_an_image_that_can_be_read_again_gets_its_features(
    manifest: Manifest, detector: Detector, runtime: Runtime
) -> None:
    path = manifest.file(manifest.rows("train")["path"][3])
    path.rename("elsewhere")
    compute(detector, manifest, runtime)
    Path("elsewhere").rename(path)
    again = compute(detector, manifest, runtime)
    assert again.computed and not again.of(manifest.rows("train")["sha256"])[1]
    assert not compute(detector, manifest, runtime).computed


def test_a_file_cut_short_is_computed_again(manifest: Manifest, detector: Detector, runtime: Runtime) -> None:
    first = compute(detector, manifest, runtime)
    kept = first.of(manifest.rows("train")["sha256"])[0]
    os.truncate(first.folder / cache.FEATURES, 300)
    again = compute(detector, manifest, runtime)
    assert again.computed
    np.testing.assert_array_equal(again.of(manifest.rows("train")["sha256"])[0], kept)


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    manifest: Manifest, detector: Detector, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(UserError, match="can't be written: No space left on device"):
            compute(detector, manifest, runtime)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(UserError, match="make room, or choose another data.root"):
            compute(detector, manifest, runtime)
    assert not [path for path in Path("data/features").rglob("*") if path.suffix in (".npy", ".json", ".parquet")]
    assert compute(detector, manifest, runtime).computed


CHILD = """
import torch
from dfd.config import RuntimeConfig, DataConfig
from dfd.data.prepare import prepare
from dfd.models.detector import build
from dfd.runtime import start
from tests.factories import tiny_model, tiny_preprocessing
from tests.inference.test_cache import compute, data
torch.manual_seed(0)
runtime = start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)
print("computed", compute(build(tiny_model(), tiny_preprocessing()), prepare(data()), runtime).computed)
"""


def test_two_processes_compute_once(manifest: Manifest) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pair = [
        subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120)[0].splitlines()[-1] for process in pair]
    assert sorted(answers) == ["computed False", "computed True"]


def test_only_the_wanted_images_are_computed_unless_all_are_there(
    manifest: Manifest, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = build(tiny_model(), tiny_preprocessing())
    wanted = manifest.rows("val")["sha256"]
    few = features_of(detector, manifest, Path("data"), LIMIT, 8, runtime, wanted=wanted)
    assert set(few.rows["sha256"]) == set(wanted) and len(few.rows) < len(manifest.rows("train"))
    every = features_of(detector, manifest, Path("data"), LIMIT, 8, runtime)
    np.testing.assert_allclose(few.of(wanted)[0], every.of(wanted)[0], atol=1e-5)
    shutil.rmtree(few.folder)
    monkeypatch.setattr(cache, "compute", lambda *_, **__: pytest.fail("images were read"))
    again = features_of(detector, manifest, Path("data"), LIMIT, 8, runtime, wanted=wanted)
    assert again.folder == every.folder
