import contextlib
import gzip
import tarfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.data import decode
from dfd.scoring import tar
from dfd.scoring.item import Problem
from dfd.scoring.tar import BrokenTar, members, pax_records
from tests.scoring.conftest import encoded, tar_of

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
letters = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=200)
names = st.lists(letters, min_size=1, max_size=3).map("/".join)
contents = st.binary(max_size=1500)


def read(data: bytes, skip: int = 0) -> list:
    return list(members(BytesIO(data), skip))


def visible(name: str) -> bool:
    return not any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


@given(st.lists(st.tuples(names, contents), max_size=6), st.sampled_from(FORMATS[1:]), st.booleans(), st.integers(0, 3))
def test_it_reads_what_tarfile_writes(files: list[tuple[str, bytes]], format: int, packed: bool, skip: int) -> None:
    files = [(f"{name}.jpg", content) for name, content in files]
    data = tar_of(files, "w:gz" if packed else "w", format)
    with tarfile.open(fileobj=BytesIO(data)) as archive:  # what tarfile itself makes of the names
        wanted = [(one.name, files[at][1]) for at, one in enumerate(archive) if visible(one.name)]
    assert read(data, skip) == wanted[skip:]


@given(st.binary(max_size=3000))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    for source in (data, tar_of([("a.jpg", b"a" * 700)])[: len(data)], gzip.compress(data)[: len(data)]):
        with contextlib.suppress(BrokenTar):
            read(source)


def test_only_visible_regular_files_with_an_images_suffix_count() -> None:
    names = ("a.jpg", "./b.PNG", "../../etc/c.webp", "/d.gif", ".e.jpg", "x/.y/f.jpg", "._g.jpg", "h.txt", "i")
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE):
            header = tarfile.TarInfo("no.jpg")
            header.type, header.linkname = kind, "/etc/passwd"
            archive.addfile(header)
    assert [name for name, _ in read(file.getvalue())] == ["a.jpg", "./b.PNG", "../../etc/c.webp", "/d.gif"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_is_cut_off_is_no_silent_end(mode: str) -> None:
    data = tar_of([(f"{number}.jpg", encoded(number)) for number in range(3)], mode)
    for keep in (0, 700, 3600, 7000) if mode == "w" else (30, len(data) // 2, len(data) - 300):
        with pytest.raises(BrokenTar):
            read(data[:keep])


def test_damage_between_two_members_is_no_silent_end() -> None:
    data = bytearray(tar_of([("a.jpg", b"a" * 10), ("b.jpg", b"b" * 10)], format=tarfile.USTAR_FORMAT))
    data[1024 + 100] ^= 0xFF
    found = members(BytesIO(bytes(data)))
    assert next(found) == ("a.jpg", b"a" * 10)
    with pytest.raises(BrokenTar, match=r"no \.tar from here on"):
        next(found)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_follows_an_end_mark_is_not_lost_silently(mode: str) -> None:
    """As after `cat a.tar b.tar`, or where zeros took the place of a header."""
    found = members(BytesIO(tar_of([("a.jpg", b"a")], mode) + tar_of([("b.jpg", b"b")], mode)))
    assert next(found) == ("a.jpg", b"a")
    with pytest.raises(BrokenTar, match="more follows its end mark"):
        next(found)


def test_a_damaged_gzip_header_is_damage() -> None:
    """And not an error of the disk, as which Python's `gzip` raises it."""
    with pytest.raises(BrokenTar, match="its compression is damaged"):
        read(b"\x1f\x8b\x07" + bytes(600))


def test_a_member_that_is_too_large_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_BYTES", 1000)
    for mode in ("w", "w:gz"):
        (_, first), second = read(tar_of([("a.jpg", bytes(1001)), ("b.jpg", bytes(1000))], mode))
        assert first == Problem("1,001 bytes, limit 1,000") and second == ("b.jpg", bytes(1000))
    assert decode.MAX_BYTES > 1000


def test_an_extended_header_takes_no_memory_that_it_asks_for() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**40
    with pytest.raises(BrokenTar, match="a header of 1,099,511,627,776 bytes"):
        read(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))


@pytest.mark.parametrize("kind", ["old", "pax"])
def test_a_sparse_file_is_not_blown_up(kind: str) -> None:
    """As GNU tar writes 'a petabyte of zeros' in a few bytes."""
    header = tarfile.TarInfo("big.jpg")
    header.size = 512
    if kind == "old":
        header.type = tarfile.GNUTYPE_SPARSE
        block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    else:
        header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(2**50), "GNU.sparse.name": "big.jpg"}
        block = bytearray(header.tobuf(tarfile.PAX_FORMAT))
    data = bytes(block) + bytes(512) + tar_of([("after.jpg", b"a")])
    (name, problem), after = read(data)
    assert (name, problem) == ("big.jpg", Problem("a sparse file")) and after == ("after.jpg", b"a")


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1), st.text(max_size=120))
)
def test_records_are_read_as_posix_says(records: dict[str, str]) -> None:
    data = b""
    for key, value in records.items():
        tail = f" {key}={value}\n".encode()
        length = len(tail)
        while len(str(length)) + len(tail) != length:
            length = len(str(length)) + len(tail)
        data += str(length).encode() + tail
    assert pax_records(data) == records


@pytest.mark.parametrize("records", [b"9" * 5000 + b" a=b\n", b"5016 size=" + b"9" * 5005 + b"\n"])
def test_numbers_that_python_refuses_are_damage(records: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    data = header.tobuf(tarfile.GNU_FORMAT) + records + bytes(-len(records) % 512) + tar_of([("a.jpg", b"a")])
    with pytest.raises(BrokenTar, match="a damaged extended header"):
        read(data)
