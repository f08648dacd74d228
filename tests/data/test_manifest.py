import json
from pathlib import Path

import pandas as pd
import pytest

from dfd.data.manifest import COLUMNS, HEADER, TABLE, Manifest, fingerprint
from dfd.errors import UserError


def make(labels: tuple[int, ...] = (0, 1, 1)) -> Manifest:
    table = pd.DataFrame({name: range(len(labels)) for name in COLUMNS})
    table = table.assign(
        path=[f"{n}.jpg" for n in table.index], label=labels, split=["train", "train", "val"], sha256=list("abc")
    )
    return Manifest(table, {"name": "mine", "root": "/somewhere", "fingerprint": fingerprint(table)})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    make().save(tmp_path)
    loaded = Manifest.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.table, make().table, check_dtype=False)
    assert loaded.header == make().header
    assert loaded.name == "mine"
    assert loaded.file(r"a\x0ab.jpg") == Path("/somewhere/a\nb.jpg")


def test_rows_of_a_split() -> None:
    rows = make().rows("val")
    assert rows["path"].tolist() == ["2.jpg"]
    assert rows.index.tolist() == [0]


@pytest.mark.parametrize("split", ["test", "validation", ""])
def test_no_such_rows(split: str) -> None:
    with pytest.raises(UserError, match="it has: train, val"):
        make().rows(split)


def test_the_fingerprint_depends_on_content_label_and_split_alone() -> None:
    table = make().table
    name = fingerprint(table)
    assert fingerprint(table.sample(frac=1, random_state=1).assign(path="x", group=7)) == name
    for column, value in (("label", 0), ("split", "test"), ("sha256", "z")):
        assert fingerprint(table.assign(**{column: value})) != name


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=HEADER):
        Manifest.load(tmp_path)
    make().save(tmp_path)
    (tmp_path / TABLE).unlink()
    with pytest.raises(UserError, match=TABLE):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("name", [TABLE, HEADER])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x00garbage"])
def test_damaged(tmp_path: Path, name: str, content: bytes) -> None:
    make().save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="force=true"):
        Manifest.load(tmp_path)


def test_halves_of_two_manifests(tmp_path: Path) -> None:
    make((0, 1, 1)).save(tmp_path / "one")
    make((0, 0, 1)).save(tmp_path / "two")
    (tmp_path / "one" / TABLE).replace(tmp_path / "two" / TABLE)
    with pytest.raises(UserError, match="do not belong together"):
        Manifest.load(tmp_path / "two")


def test_a_lacking_column(tmp_path: Path) -> None:
    manifest = make()
    Manifest(manifest.table.drop(columns="bytes"), manifest.header).save(tmp_path)
    with pytest.raises(UserError, match="lacks the columns bytes"):
        Manifest.load(tmp_path)


def test_the_header_is_readable(tmp_path: Path) -> None:
    make().save(tmp_path)
    assert json.loads((tmp_path / HEADER).read_text())["name"] == "mine"
