"""Writing files: atomically, and with words for a full disk whoever does the writing."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from dfd.errors import UserError
from dfd.files import make_room, replacing, told


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(file) as temporary:
        temporary.write_text("half")
        raise ValueError("stop")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


class SafetensorsLike(Exception):
    """Safetensors has an error of its own, which is no OSError."""


@pytest.mark.parametrize(
    "error",
    [
        SafetensorsLike("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_full_disk_is_told_as_such(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.bin"):
        raise error
    assert caught.value.errno == errno.ENOSPC


def test_a_writer_that_does_not_say_why_it_failed_is_judged_by_the_room_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.save says: file write failed."""
    usage = shutil.disk_usage(tmp_path)
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.pt"):
        raise RuntimeError("file write failed")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)), replacing(tmp_path / "a.pt"):
        raise RuntimeError("file write failed")


def test_too_little_room_is_told_beforehand(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the pictures take .* MiB, and .* MiB are free; make room"):
        make_room(tmp_path / "new", 2**60, "the pictures take")


def test_a_lack_of_permission_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be written: Permission denied"), told(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(FileNotFoundError), told(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file")
