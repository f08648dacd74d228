"""Reading a bundle, and checking every file of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfd import tensors
from dfd.data.transforms import Preprocessing
from dfd.ensemble import storage
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.files import sha256_of
from dfd.models.bundle.card import (
    ABOUT,
    CONFIG,
    FILE,
    MEMBERS,
    SEEN,
    WEIGHTS,
    card_of,
    check_kinds,
    model_config,
    name_in,
    read_card,
)
from dfd.models.bundle.kinds import Bundle, DetectorBundle, EnsembleBundle
from dfd.models.detector import build_to_fill


def load(folder: Path) -> Bundle:
    """Read a bundle and check it. Raises UserError if it is incomplete, damaged or of another format."""
    content = read_card(folder)
    with card_of(folder):
        loader = _LOADERS[content["kind"]]
        check_kinds(content)
        common = {
            **{key: content[key] for key in ABOUT},
            "calibration": Calibration.from_dict(content["calibration"]),
            "max_pixels": int(content["max_pixels"]),
            "sha256": name_in(content),
        }
        files = {folder / name: str(digest) for name, digest in content["files"].items()}
    for path, digest in files.items():
        _check_file(path, digest)
    common["config"] = _read_text(folder / CONFIG)
    common["seen"] = frozenset(_read_text(folder / SEEN).split())
    return loader(folder, content, common)


def _load_detector(folder: Path, content: dict[str, Any], common: dict[str, Any]) -> DetectorBundle:
    with card_of(folder):
        model = model_config(content["model"])
        preprocessing = Preprocessing.from_dict(content["preprocessing"])
        detector = build_to_fill(model, preprocessing)
    weights = tensors.load(folder / WEIGHTS)
    try:
        detector.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS} does not fit the model in {FILE}: {str(error).splitlines()[0]}") from None
    return DetectorBundle(**common, model=model, detector=detector.eval())


def _load_ensemble(folder: Path, content: dict[str, Any], common: dict[str, Any]) -> EnsembleBundle:
    members = []
    with card_of(folder):
        digests = [str(digest) for digest in content["members"]]
        if not digests:
            raise ValueError("it has no members")
    for number, digest in enumerate(digests):
        place = folder / MEMBERS / str(number)
        if not (place / FILE).is_file():
            raise UserError(f"{place} is missing: member {number + 1} of the ensemble {content['name']}")
        _check_file(place / FILE, digest)
        members.append(load(place))
    combiner = storage.load(folder)
    if combiner.size != len(members):
        raise UserError(f"{folder} combines {combiner.size} members, and holds {len(members)}")
    return EnsembleBundle(**common, members=tuple(members), combiner=combiner)


_LOADERS: dict[str, Callable[[Path, dict[str, Any], dict[str, Any]], Bundle]] = {
    "detector": _load_detector,
    "ensemble": _load_ensemble,
}


def _check_file(path: Path, digest: str) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing; the bundle is incomplete")
    if sha256_of(path) != digest:
        raise UserError(f"{path} is damaged: its sha256 is not the one in {FILE}")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the bundle is incomplete") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not text") from None
