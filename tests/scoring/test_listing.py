import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.errors import UserError
from dfd.scoring import listing
from dfd.scoring.listing import Entry, entry_of, fits, in_order, is_below, matches, walk

TREE = ("a.jpg", "b/c.jpg", "b/.hidden/d.jpg", "b/e/f.png", "b/e/g.tar", ".h.jpg", "i/j/k.jpg", "i/l.jpg")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in TREE:
        place = tmp_path / "top" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return tmp_path / "top"


def paths(entries: Iterator[Entry]) -> set[str]:
    found = [entry.path for entry in entries]
    assert len(found) == len(set(found))
    return set(found)


def test_a_folder_gives_its_visible_files(tree: Path) -> None:
    assert paths(walk("top")) == {
        "top/a.jpg",
        "top/b/c.jpg",
        "top/b/e/f.png",
        "top/b/e/g.tar",
        "top/i/j/k.jpg",
        "top/i/l.jpg",
    }


def test_a_loop_of_links_ends_and_a_folder_is_entered_once(tree: Path) -> None:
    before = paths(walk("top"))
    os.symlink(tree, tree / "b" / "loop")
    os.symlink(tree / "b", tree / "another")
    assert {os.path.realpath(path) for path in paths(walk("top"))} == {os.path.realpath(path) for path in before}


def test_a_folder_that_cannot_be_read_is_said(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(folder: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UserError, match=r"folder cannot be read: 'top' \(Permission denied\)"):
        list(walk("top"))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("top/*.jpg", {"top/a.jpg"}),
        ("top/*", {"top/a.jpg", "top/b/c.jpg", "top/b/e/f.png", "top/b/e/g.tar", "top/i/j/k.jpg", "top/i/l.jpg"}),
        ("top/**/*.jpg", {"top/a.jpg", "top/b/c.jpg", "top/i/j/k.jpg", "top/i/l.jpg"}),
        ("top/[bi]/*.jpg", {"top/b/c.jpg", "top/i/l.jpg"}),
        ("*/?/**/?.tar", {"top/b/e/g.tar"}),
        ("top/.*", {"top/.h.jpg"}),
        ("top/*/e", {"top/b/e/f.png", "top/b/e/g.tar"}),
        ("**/k.jpg", {"top/i/j/k.jpg"}),
        ("nothing/*", set()),
    ],
)
def test_globs(tree: Path, pattern: str, found: set[str]) -> None:
    assert paths(matches(pattern)) == found
    assert paths(matches(str(tree.parent / pattern))) == {str(tree.parent / path) for path in found}


parts = st.sampled_from(["*", "**", "top", "b", "e", "?", "[a-i]", "*.jpg", "c.jpg", ".*", "f.*"])


@given(st.lists(parts, min_size=1, max_size=4).map("/".join).filter(listing.is_wild))
def test_fits_says_what_a_glob_gives(tmp_path_factory: pytest.TempPathFactory, pattern: str) -> None:
    top = tmp_path_factory.getbasetemp() / "fits"
    for name in TREE:
        (top / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "top" / name).touch()
    pattern = f"{top}/{pattern}"
    given_ = paths(matches(pattern))
    assert {str(top / "top" / name) for name in TREE if fits(str(top / "top" / name), pattern)} == given_


def test_is_below_says_what_a_folder_gives(tree: Path) -> None:
    given_ = paths(walk(str(tree)))
    assert {str(tree / name) for name in TREE if is_below(str(tree / name), str(tree))} == given_
    assert not is_below(f"{tree}-more/a.jpg", str(tree))


@given(
    st.lists(st.text(st.characters(codec="utf-16", exclude_characters="\0"), min_size=1), unique=True, max_size=60),
    st.integers(1, 9),
)
def test_any_number_is_sorted_through_the_disk(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], run: int
) -> None:
    entries = [Entry(name, number, str(number)) for number, name in enumerate([*names, "odd\udcff", "odd\n"])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "RUN", run)
        patch.setattr(listing, "BLOCK", 32)
        assert list(in_order(entries, tmp_path_factory.getbasetemp())) == sorted(entries)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "RUN", 1000)
    monkeypatch.setattr(listing, "BLOCK", 512)

    def most(count: int) -> int:
        fake = (
            Entry(f"photos/{(number * 7919) % count:09}.jpg", number, "1700000000000000000") for number in range(count)
        )
        tracemalloc.start()
        assert sum(1 for _ in in_order(fake, tmp_path)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(12_000) < 1.5 * most(3_000)


def test_a_link_to_nothing_is_an_entry_without_a_size(tmp_path: Path) -> None:
    os.symlink("/nowhere", tmp_path / "a.jpg")
    assert entry_of(str(tmp_path / "a.jpg")) == Entry(str(tmp_path / "a.jpg"), -1, "")
    assert [entry.size for entry in walk(str(tmp_path))] == [-1]
