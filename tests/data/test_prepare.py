import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfd.config import DataConfig
from dfd.data import prepare as module
from dfd.data.manifest import COLUMNS, HEADER, Manifest
from dfd.data.prepare import prepare
from dfd.errors import UserError
from tests.images import encoded, hostile, picture, real_and_fake, write_picture


def config(**values: Any) -> DataConfig:
    return DataConfig(**{"name": "mine", "fractions": [0.6, 0.2, 0.2]} | values)


@pytest.fixture
def raw(workdir: Path) -> Path:
    return real_and_fake(workdir / "data" / "raw" / "mine", 10)


def never(*_: object, **__: object) -> None:
    pytest.fail("the images were read again")


def test_a_manifest_says_all(raw: Path) -> None:
    manifest = prepare(config())
    table, header = manifest.table, manifest.header
    assert tuple(table)[: len(COLUMNS)] == COLUMNS
    assert table["path"].tolist() == sorted(f"{kind}/{n:03d}.jpg" for kind in ("fake", "real") for n in range(10))
    assert manifest.root == raw
    assert all(manifest.file(path).is_file() for path in table["path"])
    assert header["counts"] == {
        "train": {"real": 6, "fake": 6},
        "val": {"real": 2, "fake": 2},
        "test": {"real": 2, "fake": 2},
    }
    assert header["sources"] == {"mine-fake": {"real": 0, "fake": 10}, "mine-real": {"real": 10, "fake": 0}}
    assert (header["unusable"], header["dropped"], header["images"]) == (0, 0, 20)
    assert header["duplicates"] == {"exact": 0, "near": 0, "largest": 1, "across_labels": 0}
    saved = Manifest.load(Path("data/prepared/mine"))
    pd.testing.assert_frame_equal(saved.table, table)
    assert saved.header == header


def test_nothing_is_done_again_without_a_change(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(config())
    before = Path("data/prepared/mine/manifest.json").stat().st_mtime_ns
    monkeypatch.setattr(module, "describe_all", never)
    assert prepare(config()).fingerprint == first.fingerprint
    assert Path("data/prepared/mine/manifest.json").stat().st_mtime_ns == before
    with pytest.raises(pytest.fail.Exception):
        prepare(config(), force=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: write_picture(raw / "real" / "new.jpg", 77),
        lambda raw: (raw / "real" / "000.jpg").unlink(),
        lambda raw: write_picture(raw / "real" / "000.jpg", 78),
        lambda raw: os.utime(raw / "real" / "000.jpg", (1, 1)),
    ],
    ids=["added", "removed", "changed", "touched"],
)
def test_a_changed_file_is_noticed(raw: Path, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    prepare(config())
    change(raw)
    monkeypatch.setattr(module, "describe_all", never)
    with pytest.raises(pytest.fail.Exception):
        prepare(config())


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("change", [{"split_seed": 1}, {"near_duplicate_bits": 5}, {"max_pixels": 9000}])
def test_a_changed_setting_is_noticed(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> None:
    prepare(config())
    monkeypatch.setattr(module, "describe_all", never)
    with pytest.raises(pytest.fail.Exception):
        prepare(config(**change))


def test_preparing_again_from_scratch_gives_the_same(raw: Path) -> None:
    first = prepare(config())
    shutil.rmtree("data/prepared")
    again = prepare(config())
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.fingerprint == first.fingerprint


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_manifest_is_made_anew(damage: bytes) -> None:
    first = prepare(config())
    (Path("data/prepared/mine") / HEADER).write_bytes(damage)
    assert prepare(config()).fingerprint == first.fingerprint


def test_a_kill_between_the_two_files_leaves_no_manifest(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(config())
    write_picture(raw / "real" / "new.jpg", 77)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dfd.data.manifest.write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(config())
    with pytest.raises(UserError, match="do not belong together"):
        Manifest.load(Path("data/prepared/mine"))
    assert prepare(config()).fingerprint != first.fingerprint


def test_unusable_files_are_listed_and_stop_nothing(raw: Path) -> None:
    reasons = hostile(raw / "real" / "bad")
    manifest = prepare(config())
    assert manifest.header["unusable"] == len(reasons)
    assert len(manifest.table) == 20
    listed = pd.read_csv("data/prepared/mine/unusable.csv")
    expected = {f"real/bad/{name}".replace("\n", r"\x0a"): reason for name, reason in reasons.items()}
    assert dict(zip(listed["path"], listed["reason"], strict=True)) == expected


def test_odd_names_survive(raw: Path) -> None:
    names = ["山 é.jpg", "line\nbreak.jpg", "back\\slash.jpg", os.fsdecode(b"\xff\xfe.jpg")]
    for number, name in enumerate(names):
        write_picture(raw / "real" / name, 100 + number)
    odd_folder = raw / "fake" / os.fsdecode(b"gan\xff")
    write_picture(odd_folder / "a.jpg", 200)
    prepare(config())
    manifest = prepare(config())
    files = {manifest.file(path) for path in manifest.table["path"]}
    assert files >= {raw / "real" / name for name in names} | {odd_folder / "a.jpg"}
    assert r"gan\xff" in set(manifest.table["source"])


def test_duplicates_stay_together(raw: Path) -> None:
    for number in range(5):
        shutil.copy(raw / "real" / "000.jpg", raw / "real" / f"copy{number}.jpg")
        (raw / "fake" / f"again{number}.jpg").write_bytes(encoded(picture(10_003), quality=80 + number))
    manifest = prepare(config())
    for name in ("real/000.jpg", "fake/003.jpg"):
        group = manifest.table.set_index("path")["group"][name]
        rows = manifest.table[manifest.table["group"] == group]
        assert len(rows) == 6
        assert rows["split"].nunique() == 1
    assert manifest.header["duplicates"] == {"exact": 5, "near": 5, "largest": 6, "across_labels": 0}


def test_one_file_under_both_labels_is_left_out(raw: Path) -> None:
    shutil.copy(raw / "real" / "000.jpg", raw / "fake" / "same.jpg")
    manifest = prepare(config())
    assert len(manifest.table) == 19
    dropped = pd.read_csv("data/prepared/mine/dropped.csv")
    assert dropped["path"].tolist() == ["fake/same.jpg", "real/000.jpg"]
    assert set(dropped["reason"]) == {"the same file is there as real and as fake"}


class TestPublishedSplits:
    @pytest.fixture
    def raw(self, workdir: Path) -> Path:
        raw = workdir / "data" / "raw" / "mine"
        for number, split in enumerate(("train", "val", "test")):
            real_and_fake(raw / split, 3, lambda path, seed, n=number: write_picture(path, seed + 100 * n))  # type: ignore[misc]
        return raw

    def test_they_are_kept(self, raw: Path) -> None:
        manifest = prepare(config(keep_splits=True))
        assert (manifest.table["split"] == [path.split("/")[0] for path in manifest.table["path"]]).all()

    def test_of_a_group_in_several_the_last_stays(self, raw: Path) -> None:
        shutil.copy(raw / "test/real/000.jpg", raw / "train/real/test.jpg")
        shutil.copy(raw / "test/real/000.jpg", raw / "val/real/test.jpg")
        shutil.copy(raw / "val/fake/001.jpg", raw / "train/fake/val.jpg")
        manifest = prepare(config(keep_splits=True))
        dropped = pd.read_csv("data/prepared/mine/dropped.csv")
        assert dict(zip(dropped["path"], dropped["reason"], strict=True)) == {
            "train/fake/val.jpg": "a near duplicate is in the published split val",
            "train/real/test.jpg": "a near duplicate is in the published split test",
            "val/real/test.jpg": "a near duplicate is in the published split test",
        }
        assert manifest.header["duplicates"]["across_published_splits"] == 3
        assert (manifest.table.groupby("group")["split"].nunique() == 1).all()
        assert len(manifest.rows("test")) == 6

    def test_they_may_be_ignored(self, raw: Path) -> None:
        assert "across_published_splits" not in prepare(config()).header["duplicates"]

    def test_a_split_that_lacks_a_class(self, raw: Path) -> None:
        for path in (raw / "val" / "fake").iterdir():
            path.write_bytes(b"")
        with pytest.raises(UserError, match="val would hold no fake"):
            prepare(config(keep_splits=True))


class TestPlaces:
    def test_no_data(self, workdir: Path) -> None:
        with pytest.raises(UserError, match=r"'yonsei' not found in data/raw\. Get 'Real and Fake Face Detection' by"):
            prepare(config(name="yonsei", module="yonsei"))

    def test_a_source_that_does_not_exist(self, workdir: Path) -> None:
        with pytest.raises(UserError, match="data.source=nowhere does not exist"):
            prepare(config(source="nowhere"))

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\\b"])
    def test_a_name_that_is_no_name(self, workdir: Path, name: str) -> None:
        with pytest.raises(UserError, match=r"data.name="):
            prepare(config(name=name))

    @pytest.mark.parametrize("name", ["mine.zip", "140k-real-and-fake-faces.zip"])
    def test_an_archive(self, workdir: Path, name: str) -> None:
        real_and_fake(workdir / "faces", 5)
        (workdir / "data" / "raw").mkdir(parents=True)
        shutil.make_archive(str(workdir / "data" / "raw" / name.removesuffix(".zip")), "zip", workdir, "faces")
        if name != "mine.zip":  # a download's own name belongs to its data set
            with pytest.raises(UserError, match="not found"):
                prepare(config())
            return
        manifest = prepare(config())
        assert manifest.root.name == "faces" and manifest.root.parents[1] == workdir / "data" / "raw-extracted"
        assert prepare(config()).fingerprint == manifest.fingerprint

    def test_kaggles_own_name(self, workdir: Path) -> None:
        (workdir / "data" / "raw").mkdir(parents=True)
        with zipfile.ZipFile(workdir / "data/raw/real-and-fake-face-detection.zip", "w") as file:
            for number in range(5):
                file.writestr(f"real_and_fake_face/training_real/real_{number:05d}.jpg", encoded(picture(number)))
                file.writestr(f"real_and_fake_face/training_fake/easy_{number}_0001.jpg", encoded(picture(50 + number)))
        assert len(prepare(config(name="yonsei", module="yonsei")).table) == 10

    def test_the_recorded_source_is_used_again(self, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real_and_fake(workdir / "elsewhere", 5)
        first = prepare(config(source="elsewhere"))
        with monkeypatch.context() as patch:
            patch.setattr(module, "describe_all", never)
            assert prepare(config()).fingerprint == first.fingerprint
        assert prepare(config(near_duplicate_bits=2)).fingerprint == first.fingerprint
        real_and_fake(workdir / "data" / "raw" / "mine", 6)  # even where another could be meant
        monkeypatch.chdir("/")
        assert prepare(config(root=str(workdir / "data"))).fingerprint == first.fingerprint

    def test_a_recorded_source_that_is_gone(self, workdir: Path) -> None:
        real_and_fake(workdir / "elsewhere", 5)
        prepare(config(source="elsewhere"))
        shutil.rmtree(workdir / "elsewhere")
        with pytest.raises(UserError, match=r"It was prepared from .*elsewhere, which is no longer there"):
            prepare(config())

    def test_an_archive_that_is_gone_is_not_missed(self, workdir: Path) -> None:
        real_and_fake(workdir / "faces", 5)
        shutil.make_archive(str(workdir / "mine"), "zip", workdir, "faces")
        first = prepare(config(source="mine.zip"))
        (workdir / "mine.zip").unlink()
        assert prepare(config()).fingerprint == first.fingerprint
        with pytest.raises(UserError, match="no longer there"):
            prepare(config(split_seed=2))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("real", "no usable real images .*10 unusable, such as real/000.jpg: empty file"),
        ("fake", "no usable fake images"),
    ],
)
def test_a_class_without_usable_images(raw: Path, spoil: str, message: str) -> None:
    for path in (raw / spoil).iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=message):
        prepare(config())


def test_empty_folders(workdir: Path) -> None:
    for kind in ("real", "fake"):
        (workdir / "data" / "raw" / "mine" / kind).mkdir(parents=True)
    with pytest.raises(UserError, match="no images found"):
        prepare(config())


def test_the_demo(workdir: Path) -> None:
    manifest = prepare(config(name="demo", module="demo", patches=120, patch_size=64))
    assert (manifest.table.groupby("photograph")["split"].nunique() == 1).all()
    assert manifest.table.groupby("split")["photograph"].nunique().to_dict() == {"train": 9, "val": 3, "test": 3}
    assert np.allclose(manifest.table["label"].groupby(manifest.table["split"]).mean(), 0.5)


@pytest.mark.shared
def test_the_real_yonsei_set(workdir: Path, shared: Path) -> None:
    data = config(name="yonsei", module="yonsei", source=str(shared / "data" / "yonsei_160"), near_duplicate_bits=60)
    manifest = prepare(data)
    assert manifest.table["label"].value_counts().to_dict() == {0: 1081, 1: 960}
    assert manifest.header["unusable"] == 0
    assert manifest.header["duplicates"]["largest"] == 2  # no chains
    assert manifest.header["duplicates"]["across_labels"] >= 30  # fakes and the photographs they were made of
