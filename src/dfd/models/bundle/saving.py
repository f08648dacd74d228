"""Writing a bundle."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dfd import sealed, tensors
from dfd.ensemble import storage
from dfd.files import link_or_copy, sha256_of, write_text
from dfd.models.bundle.card import ABOUT, CONFIG, FILE, FORMAT, MEMBERS, SEEN, WEIGHTS
from dfd.models.bundle.kinds import Bundle, DetectorBundle, EnsembleBundle


def save(bundle: Bundle, folder: Path, member_folders: list[Path] | None = None) -> None:
    """Write the bundle; bundle.yaml comes last, so that a folder without it is not a bundle.

    Members that lie on the disk already are linked or copied from `member_folders` instead of written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    write_text(folder / CONFIG, bundle.config)
    write_text(folder / SEEN, "".join(f"{digits}\n" for digits in sorted(bundle.seen)))
    content: dict[str, Any] = {
        "format": FORMAT,
        "kind": bundle.kind,
        **{key: getattr(bundle, key) for key in ABOUT},
        "labels": {"real": 0, "fake": 1},
        "calibration": bundle.calibration.to_dict(),
        "max_pixels": bundle.max_pixels,
    }
    if isinstance(bundle, DetectorBundle):
        content |= {"model": asdict(bundle.model), "preprocessing": bundle.preprocessing.to_dict()}
        tensors.save(bundle.detector.state_dict(), folder / WEIGHTS)
        names = [CONFIG, SEEN, WEIGHTS]
    else:
        assert isinstance(bundle, EnsembleBundle)
        content["members"] = _save_members(bundle, folder / MEMBERS, member_folders)
        names = [CONFIG, SEEN, *storage.save(bundle.combiner, folder)]
    content["files"] = {name: sha256_of(folder / name) for name in names}
    sealed.write(folder / FILE, content)


def _save_members(bundle: EnsembleBundle, folder: Path, sources: list[Path] | None) -> list[str]:
    """Returns the sha256 of each member's bundle.yaml."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, member in enumerate(bundle.members):
        place = folder / str(number)
        if sources is None:
            save(member, place)
        else:
            shutil.copytree(sources[number], place, copy_function=link_or_copy)
    return [sha256_of(folder / str(number) / FILE) for number in range(len(bundle.members))]
