from pathlib import Path

import pytest

from dfd.config import DataConfig
from dfd.data.sources.real140k import Real140k
from dfd.errors import UserError

KEEP = DataConfig(name="real140k", module="real140k", keep_splits=True)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    inner = tmp_path / "real_vs_fake" / "real-vs-fake"
    for split in ("train", "valid", "test"):
        for kind in ("real", "fake"):
            (inner / split / kind).mkdir(parents=True)
            (inner / split / kind / f"{split}{kind}.jpg").touch()
        rows = f"0,a,1,real,{split}/real/{split}real.jpg\n1,b,0,fake,{split}/fake/{split}fake.jpg\n"
        (tmp_path / f"{split}.csv").write_text(",id,label,label_str,path\n" + rows)
    return tmp_path


def test_labels_sources_and_splits(archive: Path) -> None:
    raw = Real140k().find(archive, KEEP)
    assert raw.root == archive / "real_vs_fake" / "real-vs-fake"
    rows = raw.table.astype({"path": str}).to_numpy().tolist()
    assert ["valid/real/validreal.jpg", 0, "ffhq", "val"] in rows
    assert ["test/fake/testfake.jpg", 1, "stylegan", "test"] in rows
    assert len(rows) == 6
    assert raw.notes == []


def test_published_splits_can_be_ignored(archive: Path) -> None:
    assert "split" not in Real140k().find(archive, DataConfig(name="x", module="real140k")).table


def test_the_inner_folder_without_csv_will_do(archive: Path) -> None:
    assert len(Real140k().find(archive / "real_vs_fake", KEEP).table) == 6


def test_a_csv_that_contradicts_its_folders(archive: Path) -> None:
    path = archive / "valid.csv"
    path.write_text(path.read_text().replace("b,0,fake", "b,1,fake"))
    with pytest.raises(UserError, match=r"valid/fake/validfake.jpg the label 1 \(1 means real\)"):
        Real140k().find(archive, KEEP)


def test_what_only_the_csv_has_is_noted(archive: Path) -> None:
    (archive / "real_vs_fake" / "real-vs-fake" / "train" / "fake" / "trainfake.jpg").unlink()
    assert Real140k().find(archive, KEEP).notes == ["train.csv lists 1 images that are not in the folders"]


def test_a_csv_without_its_columns(archive: Path) -> None:
    (archive / "test.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"test.csv cannot be read"):
        Real140k().find(archive, KEEP)


def test_another_layout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the 140k data set"):
        Real140k().find(tmp_path, KEEP)


@pytest.mark.shared
def test_the_real_thing(shared: Path) -> None:
    raw = Real140k().find(shared / "data" / "real140k_subset", KEEP)
    assert raw.table.groupby("source").size().to_dict() == {"ffhq": 800, "stylegan": 800}
    assert raw.notes == []
