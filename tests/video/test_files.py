from pathlib import Path

import pytest

from dfd.video.files import is_video


@pytest.mark.parametrize(
    ("name", "video"),
    [("a.mp4", True), ("a.MOV", True), ("a.b.webm", True), ("a.mp4.jpg", False), ("mp4", False), (".mp4", False)],
)
def test_a_video_is_known_by_its_suffix(name: str, video: bool) -> None:
    assert is_video(Path(name)) == video
