import os
import re
from pathlib import Path

import pytest

from dfd.data.discover import find_images
from dfd.errors import UserError


@pytest.fixture
def tree(workdir: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "x/c.jpeg", "x/y/d.webp", ".git/e.jpg", "x/[1].jpg"):
        path = workdir / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return workdir / "photos"


def names(*inputs: str) -> list[str]:
    return [path.as_posix() for path in find_images(list(inputs)).paths]


ALL = ["photos/a.PNG", "photos/b.jpg", "photos/x/[1].jpg", "photos/x/c.jpeg", "photos/x/y/d.webp"]


@pytest.mark.usefixtures("tree")
class TestFindImages:
    def test_a_folder_is_searched_to_the_bottom_in_order(self) -> None:
        assert names("photos") == ALL
        assert find_images(["photos"]).skipped == 1

    def test_a_named_file_is_taken_whatever_it_is(self) -> None:
        assert names("photos/notes.txt", "photos/.hidden.jpg") == ["photos/notes.txt", "photos/.hidden.jpg"]

    def test_a_name_that_looks_like_a_glob(self) -> None:
        assert names("photos/x/[1].jpg") == ["photos/x/[1].jpg"]

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("photos/*.jpg", ["photos/b.jpg"]),
            ("photos/**", ALL),
            ("photos/**/*.jpg", ["photos/b.jpg", "photos/x/[1].jpg"]),
            ("**/y/*", ["./photos/x/y/d.webp"]),
            ("ph*/**/y/**", ["photos/x/y/d.webp"]),
            ("photos/?/c.*", ["photos/x/c.jpeg"]),
        ],
    )
    def test_globs(self, pattern: str, found: list[str]) -> None:
        assert names(pattern) == [Path(path).as_posix() for path in found]

    def test_each_file_once(self) -> None:
        assert names("photos/x", "photos", os.path.abspath("photos/b.jpg"), "photos/x/../b.jpg") == [
            "photos/x/[1].jpg",
            "photos/x/c.jpeg",
            "photos/x/y/d.webp",
            "photos/a.PNG",
            "photos/b.jpg",
        ]

    def test_a_file_that_is_named_and_passed_over_counts_as_named(self) -> None:
        assert find_images(["photos", "photos/notes.txt"]).skipped == 0

    @pytest.mark.parametrize("wrong", ["nothing.jpg", "photos/*.gif", "none/**", "photos/**/x?c.jpeg"])
    def test_an_input_without_images_is_named(self, wrong: str) -> None:
        with pytest.raises(UserError, match=re.escape(wrong)):
            find_images(["photos", wrong])

    def test_a_folder_without_images(self, tree: Path) -> None:
        (tree.parent / "empty").mkdir()
        (tree.parent / "empty" / "a.txt").touch()
        with pytest.raises(UserError, match="'empty'; 1 other files"):
            find_images(["empty"])

    def test_loops_of_links_end(self, tree: Path) -> None:
        (tree / "x" / "loop").symlink_to(tree)
        (tree / "x" / "y" / "loop").symlink_to(tree / "x")
        assert names("photos") == ALL
        assert names("photos/**") == ALL

    def test_links(self, tree: Path) -> None:
        (tree.parent / "elsewhere").mkdir()
        (tree.parent / "elsewhere" / "z.jpg").touch()
        (tree / "linked").symlink_to(tree.parent / "elsewhere")
        (tree / "dangling.jpg").symlink_to(tree / "nothing")
        assert names("photos")[2:4] == ["photos/dangling.jpg", "photos/linked/z.jpg"]
        assert names("photos/dangling.jpg") == ["photos/dangling.jpg"]

    def test_odd_names(self, tree: Path) -> None:
        for name in ("line\nbreak.jpg", "山.jpg", os.fsdecode(b"\xff.jpg")):
            (tree / name).touch()
        assert {path.name for path in find_images(["photos"]).paths} >= {"line\nbreak.jpg", "山.jpg", "\udcff.jpg"}

    def test_a_folder_named_like_an_image(self, tree: Path) -> None:
        (tree / "album.jpg").mkdir()
        (tree / "album.jpg" / "f.jpg").touch()
        assert "photos/album.jpg/f.jpg" in names("photos")


def test_an_unreadable_folder_is_named(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "locked").mkdir()

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match="'locked' .Permission denied"):
        find_images(["locked"])


class TestVideos:
    @pytest.fixture(autouse=True)
    def clips(self, tree: Path) -> None:
        for name in ("clip.mp4", "x/Second.MOV"):
            (tree / name).touch()

    def test_come_apart_from_images_where_they_are_wanted(self) -> None:
        found = find_images(["photos/clip.mp4", "photos"], videos=True)
        assert [path.as_posix() for path in found.videos] == ["photos/clip.mp4", "photos/x/Second.MOV"]
        assert [path.as_posix() for path in found.paths] == ALL
        assert found.skipped == find_images(["photos"]).skipped - 2

    def test_a_folder_of_nothing_else_is_enough(self, tree: Path) -> None:
        (tree.parent / "clips").mkdir()
        (tree.parent / "clips" / "a.webm").touch()
        assert find_images(["clips"], videos=True).paths == []
        with pytest.raises(UserError, match="no images found: 'clips'; 1 other files"):
            find_images(["clips"])

    @pytest.mark.parametrize("wrong", ["photos/clip.mp4", "photos/x/Second.MOV"])
    def test_are_refused_where_they_are_named_and_not_wanted(self, wrong: str) -> None:
        with pytest.raises(UserError, match=f"'{wrong}' is a video, and this command takes images alone"):
            find_images(["photos", wrong])
