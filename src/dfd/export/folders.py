"""The folders of an export: whole, or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfd.files import link_or_copy, told
from dfd.models.bundle import FILE


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside `folder`; it takes the place of `folder` if the block ends well, or goes.

    Its files are flushed to the disk first. Raises UserError if they can't be written.
    """
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    with told(folder):
        try:
            part.mkdir(parents=True)
            yield part
            for path in filter(Path.is_file, part.rglob("*")):
                with open(path, "rb") as handle:
                    os.fsync(handle.fileno())
            os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def copy_bundle(source: Path, target: Path) -> None:
    """A bundle once more; files are shared with the first where the disk allows it, since bundles don't change.

    Its own card is copied: the date of that file says which bundle is the newest.
    """
    with building(target) as part:
        shutil.copytree(source, part, copy_function=link_or_copy, dirs_exist_ok=True)
        (part / FILE).unlink()
        shutil.copyfile(source / FILE, part / FILE)
