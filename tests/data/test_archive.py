import os
import struct
import zipfile
from pathlib import Path

import pytest

from dfd.data import archive
from dfd.data.archive import folder_of, unpack
from dfd.errors import UserError


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_images_and_csv_files_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"real/a.jpg": b"a", "fake/b.PNG": b"b", "list.csv": b"c", "run.sh": b"d", "__MACOSX/._a.jpg": b"e"}
    path = make_zip(tmp_path / "faces.zip", members)
    folder = unpack(path, tmp_path / "out")
    assert folder.parent == tmp_path / "out" and folder.name.startswith("faces-")
    assert files(folder) == [archive.STAMP, "fake/b.PNG", "list.csv", "real/a.jpg"]
    monkeypatch.setattr(archive, "_extract", lambda *_: pytest.fail("unpacked again"))
    assert unpack(path, tmp_path / "out") == folder


def test_a_changed_archive_is_unpacked_again(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "faces.zip", {"a.jpg": b"a"}), tmp_path)
    folder = unpack(make_zip(tmp_path / "faces.zip", {"b.jpg": b"bb"}), tmp_path)
    assert files(folder) == [archive.STAMP, "b.jpg"]


def test_archives_of_one_name_keep_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = unpack(make_zip(tmp_path / "a" / "archive.zip", {"real/0.png": b"a"}), tmp_path / "out")
    second = unpack(make_zip(tmp_path / "b" / "archive.zip", {"real/0.png": b"b"}), tmp_path / "out")
    assert (first / "real" / "0.png").read_bytes() == b"a"
    assert (second / "real" / "0.png").read_bytes() == b"b"


@pytest.mark.parametrize("name", ["../evil.jpg", "/evil.jpg", "a/../../evil.jpg", "C:/evil.jpg", "..\\evil.jpg"])
def test_members_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": b"a", name: b"evil"})
    with pytest.raises(UserError, match="outside of its folder"):
        unpack(path, tmp_path / "x" / "out")
    assert not list(tmp_path.rglob("*evil*"))
    assert files(tmp_path / "x") == []


def test_a_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        member = zipfile.ZipInfo("passwd.jpg")
        member.external_attr = 0o120777 << 16
        file.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match=r"the link 'passwd.jpg'"):
        unpack(tmp_path / "faces.zip", tmp_path / "out")


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": b"a"})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 8
    data[place : place + 2] = struct.pack("<H", 1)
    path.write_bytes(data)
    with pytest.raises(UserError, match="is encrypted; unpack it yourself"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("damage", ["cut", "flip", "noise", "empty"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, damage: str) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": os.urandom(1000), "b.jpg": os.urandom(1000)})
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[500] ^= 255
    path.write_bytes({"cut": data[:1500], "flip": data, "noise": b"noise", "empty": b""}[damage])
    with pytest.raises(UserError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert files(tmp_path / "out") == []


def test_a_bomb(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": bytes(10_000)})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    with pytest.raises(UserError, match="no images pack so well"):
        unpack(path, tmp_path / "out")


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": b"12345"})
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4}))
    with pytest.raises(UserError, match="5 bytes, but only 4 are free"):
        unpack(path, tmp_path / "out")


def test_nothing_is_there_before_all_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": b"a", "b.jpg": b"b"})
    folder = folder_of(path, tmp_path / "out")
    extract = zipfile.ZipFile.extract

    def interrupted(self: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> None:
        extract(self, member, into)
        assert not folder.exists()
        if member.filename == "b.jpg":
            raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extract", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_a_killed_process_left_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "faces.zip", {"a.jpg": b"a", "b.jpg": b"b"})
    into = tmp_path / "out"
    whole = folder_of(path, into).name
    for name in (whole, f".{whole}.999999999.x.part", f".{whole}.{os.getpid()}.y.part"):
        (into / name).mkdir(parents=True)
        (into / name / "a.jpg").touch()
    assert files(unpack(path, into)) == [archive.STAMP, "a.jpg", "b.jpg"]
    assert sorted(folder.name for folder in into.iterdir()) == [f".{whole}.{os.getpid()}.y.part", whole]
