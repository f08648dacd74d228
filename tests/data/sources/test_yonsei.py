import shutil
from pathlib import Path

import pytest

from dfd.config import DataConfig
from dfd.data.sources.yonsei import Yonsei
from dfd.errors import UserError

CONFIG = DataConfig(name="yonsei", module="yonsei")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    inner = tmp_path / "archive" / "real_and_fake_face"
    for name in ("training_real/real_00001.jpg", "training_fake/mid_12_0110.jpg", "training_fake/easy_116_111.jpg"):
        (inner / name).parent.mkdir(parents=True, exist_ok=True)
        (inner / name).touch()
    return tmp_path / "archive"


def test_labels_sources_and_regions(archive: Path) -> None:
    raw = Yonsei().find(archive, CONFIG)
    assert raw.root == archive / "real_and_fake_face"
    assert raw.table.astype({"path": str}).to_numpy().tolist() == [
        ["training_real/real_00001.jpg", 0, "yonsei-real", ""],
        ["training_fake/easy_116_111.jpg", 1, "yonsei-easy", ""],
        ["training_fake/mid_12_0110.jpg", 1, "yonsei-mid", "0110"],
    ]
    assert raw.table.columns.tolist() == ["path", "label", "source", "region"]
    assert raw.notes == ["easy_116_111.jpg has 3 digits for the four regions; its region is left empty"]


def test_the_inner_folder_will_do(archive: Path) -> None:
    assert len(Yonsei().find(archive / "real_and_fake_face", CONFIG).table) == 3


def test_kaggles_second_copy_is_not_counted(archive: Path) -> None:
    shutil.copytree(archive / "real_and_fake_face", archive / "real_and_fake_face_detection" / "real_and_fake_face")
    assert len(Yonsei().find(archive, CONFIG).table) == 3
    assert len(Yonsei().find(archive / "real_and_fake_face_detection", CONFIG).table) == 3


def test_another_layout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the Yonsei data set"):
        Yonsei().find(tmp_path, CONFIG)


def test_another_name(archive: Path) -> None:
    (archive / "real_and_fake_face" / "training_fake" / "soft_1_0000.jpg").touch()
    with pytest.raises(UserError, match=r"soft_1_0000.jpg"):
        Yonsei().find(archive, CONFIG)


@pytest.mark.shared
def test_the_real_thing(shared: Path) -> None:
    table = Yonsei().find(shared / "data" / "yonsei_160", CONFIG).table
    assert table["source"].value_counts().to_dict() == {
        "yonsei-real": 1081,
        "yonsei-mid": 480,
        "yonsei-easy": 240,
        "yonsei-hard": 240,
    }
    assert (table[table["label"] == 1]["region"].str.len() == 4).sum() == 959
