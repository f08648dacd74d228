from pathlib import Path

import pytest

from dfd.config import DataConfig
from dfd.data.sources.folder import Folder
from dfd.errors import UserError


def config(**values: object) -> DataConfig:
    return DataConfig(name="mine", **values)  # type: ignore[arg-type]


def touch(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return top


def rows(raw: Path, **values: object) -> list[list[object]]:
    return Folder().find(raw, config(**values)).table.astype({"path": str}).to_numpy().tolist()


def test_folders_and_sources(tmp_path: Path) -> None:
    touch(tmp_path, "Real/a.jpg", "FAKE/b.png", "FAKE/stylegan/deep/c.jpg", "FAKE/notes.txt")
    assert rows(tmp_path) == [
        ["FAKE/b.png", 1, "mine-fake"],
        ["FAKE/stylegan/deep/c.jpg", 1, "stylegan"],
        ["Real/a.jpg", 0, "mine-real"],
    ]


def test_a_folder_around_them(tmp_path: Path) -> None:
    touch(tmp_path, "archive/faces/real/a.jpg", "archive/faces/fake/b.jpg")
    assert Folder().find(tmp_path, config()).root == tmp_path / "archive" / "faces"


def test_published_splits(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{kind}/a.jpg" for split in ("Train", "valid", "test") for kind in ("real", "fake")))
    assert sorted({row[3] for row in rows(tmp_path, keep_splits=True)}) == ["test", "train", "val"]  # type: ignore[type-var]
    assert len(rows(tmp_path)[0]) == 3


@pytest.mark.parametrize("names", [["real/a.jpg"], ["a.jpg"], ["val/real/a.jpg", "val/fakes/a.jpg"]])
def test_another_layout(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match="neither real/ and fake/ folders"):
        Folder().find(touch(tmp_path, *names), config())


class TestCsv:
    @pytest.fixture
    def csv(self, tmp_path: Path) -> Path:
        path = tmp_path / "list.csv"
        path.write_text("file,kind,from,split\nx/a.jpg,fake,gan,train\n../b.jpg,real,camera,validation\n")
        return path

    CONFIG = {"csv_path": "file", "csv_label": "kind", "csv_fake": "fake"}

    def test_rows(self, csv: Path) -> None:
        assert rows(csv, **self.CONFIG) == [["x/a.jpg", 1, "mine-fake"], ["../b.jpg", 0, "mine-real"]]
        assert rows(csv, **self.CONFIG, csv_source="from", keep_splits=True) == [
            ["x/a.jpg", 1, "gan", "train"],
            ["../b.jpg", 0, "camera", "val"],
        ]

    @pytest.mark.parametrize("setting", ["csv_path", "csv_label", "csv_source"])
    def test_a_missing_column(self, csv: Path, setting: str) -> None:
        with pytest.raises(UserError, match=rf"data\.{setting}='none' is not a column .* file, kind, from, split"):
            Folder().find(csv, config(**self.CONFIG | {setting: "none"}))

    def test_a_third_value(self, csv: Path) -> None:
        csv.write_text(csv.read_text() + "c.jpg,unknown,x,test\n")
        with pytest.raises(UserError, match="'fake', 'real', 'unknown'"):
            Folder().find(csv, config(**self.CONFIG))

    def test_a_value_that_is_not_there(self, csv: Path) -> None:
        with pytest.raises(UserError, match="csv_fake='1' means fake"):
            Folder().find(csv, config(**self.CONFIG | {"csv_fake": "1"}))

    def test_a_row_twice(self, csv: Path) -> None:
        csv.write_text(csv.read_text() + "x/a.jpg,fake,gan,train\n")
        assert len(rows(csv, **self.CONFIG)) == 2
        csv.write_text(csv.read_text() + "./x/a.jpg,real,gan,train\n")
        with pytest.raises(UserError, match=r"'./x/a.jpg' twice"):
            Folder().find(csv, config(**self.CONFIG))

    def test_an_unknown_split(self, csv: Path) -> None:
        csv.write_text(csv.read_text().replace("train", "dev"))
        with pytest.raises(UserError, match="split='dev'"):
            Folder().find(csv, config(**self.CONFIG, keep_splits=True))

    @pytest.mark.parametrize("content", [b"", b'a,b\n1,2,3,4\n5\n"', b"\xff\xfe\x00"])
    def test_not_a_csv(self, csv: Path, content: bytes) -> None:
        csv.write_bytes(content)
        with pytest.raises(UserError):
            Folder().find(csv, config(**self.CONFIG))

    def test_another_kind_of_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"neither a \.csv nor a \.zip"):
            Folder().find(touch(tmp_path, "a.txt") / "a.txt", config())
