"""The bundle: a folder that is a whole detector, one network or an ensemble of bundles. No pickle.

bundle.yaml          what it is, how to use it, what it was made from; its last line is a checksum of the others
config.yaml          the resolved configuration of the run that made it
seen.txt             which images it was trained or tuned on, so that no test counts them
model.safetensors    a detector's weights
combiner.*           how an ensemble's members are combined; see `dfd.ensemble.storage`
members/0, 1, …      an ensemble's members, bundles themselves

bundle.yaml holds the sha256 of every other file of its folder, and of its members' bundle.yaml.
"""

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dfd import __version__, sealed
from dfd.config import ModelConfig, check
from dfd.data.transforms import Preprocessing
from dfd.ensemble import storage
from dfd.ensemble.combiners import Combiner
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.files import link_or_copy, replacing, sha256_of, write_text
from dfd.models.detector import Detector, build_to_fill

FORMAT = 2
FILE, WEIGHTS, CONFIG, SEEN, MEMBERS = "bundle.yaml", "model.safetensors", "config.yaml", "seen.txt", "members"
SEEN_DIGITS = 16  # of an image's sha256: enough to tell 10 million images apart, at 17 bytes each
NEEDED = [("data", key) for key in ("name", "fingerprint", "train")] + [  # by the commands that tell of a bundle
    ("training", key) for key in ("weights", "seconds", "device")
]
ABOUT = ("name", "data", "training", "metrics", "versions")


@dataclass(frozen=True, kw_only=True)
class Bundle(ABC):
    """What every bundle has: how its logit is read, and where it comes from.

    `data`: name and fingerprint of the manifest it was trained on, its numbers of images, the number of `folds` if it
    was cross-validated, and `fitted_on`, the split that its weights were fitted on, if that is not train. `training`:
    seconds, steps and so on. `metrics`: figures on validation or out-of-fold at the end of training. `seen`: the first
    digits of the sha256 of each image that it was trained or tuned on. `sha256`: names the weights of a network, and
    the files and members of an ensemble; empty until it is saved.
    """

    kind: ClassVar[str]
    name: str
    calibration: Calibration
    max_pixels: int
    data: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    config: str
    seen: frozenset[str]
    versions: dict[str, str]
    sha256: str = ""

    @property
    @abstractmethod
    def detectors(self) -> list[Detector]:
        """All networks in it."""

    @property
    @abstractmethod
    def fitted_on_val(self) -> bool:
        """Whether weights were fitted on the val split, which is then no split to measure on or to fit on again."""

    @property
    def cpu_bf16(self) -> bool | None:
        """Whether bf16 pays on CPUs with bf16 matrix units; None: for some of its networks."""
        each = {detector.cpu_bf16 for detector in self.detectors}
        return each.pop() if len(each) == 1 else None


@dataclass(frozen=True, kw_only=True)
class DetectorBundle(Bundle):
    """One network."""

    kind = "detector"
    model: ModelConfig
    detector: Detector

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input."""
        return self.detector.preprocessing

    @property
    def fitted_on_val(self) -> bool:
        """As the bundle says of itself; a GAN's discriminator has a head that was."""
        return self.data.get("fitted_on") == "val"

    @property
    def detectors(self) -> list[Detector]:
        """Itself."""
        return [self.detector]


@dataclass(frozen=True, kw_only=True)
class EnsembleBundle(Bundle):
    """Several bundles and how they are combined."""

    kind = "ensemble"
    members: tuple[Bundle, ...]
    combiner: Combiner

    @property
    def fitted_on_val(self) -> bool:
        """Where there are no folds, that is where it learnt how much each member counts."""
        return not self.data.get("folds")

    @property
    def detectors(self) -> list[Detector]:
        """Those of all members, in their order."""
        return [detector for member in self.members for detector in member.detectors]


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
        _save_weights(bundle.detector, folder / WEIGHTS)
        names = [CONFIG, SEEN, WEIGHTS]
    else:
        assert isinstance(bundle, EnsembleBundle)
        content["members"] = _save_members(bundle, folder / MEMBERS, member_folders)
        names = [CONFIG, SEEN, *storage.save(bundle.combiner, folder)]
    content["files"] = {name: sha256_of(folder / name) for name in names}
    sealed.write(folder / FILE, content)


def load(folder: Path) -> Bundle:
    """Read a bundle and check it. Raises UserError if it is incomplete, damaged or of another format."""
    content = read_card(folder)
    with _card_of(folder):
        loader = _LOADERS[content["kind"]]
        _check_kinds(content)
        common = {
            **{key: content[key] for key in ABOUT},
            "calibration": Calibration.from_dict(content["calibration"]),
            "max_pixels": int(content["max_pixels"]),
            "sha256": _name(content),
        }
        files = {folder / name: str(digest) for name, digest in content["files"].items()}
    for path, digest in files.items():
        _check_file(path, digest)
    common["config"] = _read_text(folder / CONFIG)
    common["seen"] = frozenset(_read_text(folder / SEEN).split())
    return loader(folder, content, common)


@contextmanager
def _card_of(folder: Path) -> Iterator[None]:
    """Within this, whatever is wrong is wrong in bundle.yaml."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, UserError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error!s}") from None


def _check_kinds(content: dict[str, Any]) -> None:
    """Raise ValueError for a value of the wrong kind. A stranger's card may hold anything, its checksum too."""
    name = content["name"]
    if not isinstance(name, str) or not name.isprintable() or name in ("", ".", "..") or set("/\\") & set(name):
        raise ValueError(f"name={name!r} is no plain name")
    for key in ("data", "training", "metrics", "versions", "files"):
        if not isinstance(content[key], dict):
            raise ValueError(f"{key} is no mapping")
    needed = [("data", "folds" if "folds" in content["data"] else "val"), *NEEDED]
    if lacking := [f"{entry}.{key}" for entry, key in needed if key not in content[entry]]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    if int(content["max_pixels"]) < 1:
        raise ValueError(f"max_pixels={content['max_pixels']}; accepted is 1 or more")
    for name, digest in content["files"].items():
        if not isinstance(digest, str) or Path(name).name != name:
            raise ValueError(f"files holds {name!r}: accepted are names of files beside it, with their sha256")


def find(wanted: str | None, outputs: Path = Path("outputs"), setting: str = "bundle") -> Path:
    """The bundle folder that `wanted` names: a bundle, a run that holds one, or a folder of runs, whose newest counts.

    None: the newest under `outputs`, copies in exports not counted.

    Raises UserError, in the name of the `setting` that it was wanted for, if there is none.
    """
    if wanted is not None:
        for folder in (Path(wanted), Path(wanted) / "bundle"):
            if (folder / FILE).is_file():
                return folder
        if among := list(Path(wanted).glob(f"*/bundle/{FILE}")):
            return _newest(among)
        raise UserError(
            f"{setting}={wanted}: no {FILE} there; accepted is a bundle, the folder of a finished run, or one of "
            "several runs, the newest of which is taken"
        )
    found = [path for path in outputs.glob(f"*/*/*/bundle/{FILE}") if path.parents[3].name != "export"]
    if not found:
        raise UserError(f"no bundle under {outputs}/; run `dfd train` first, or name one with bundle=FOLDER")
    return _newest(found)


def _newest(files: list[Path]) -> Path:
    return max(files, key=lambda path: path.stat().st_mtime).parent


def seen_in(table: pd.DataFrame) -> frozenset[str]:
    """What `Bundle.seen` holds for the rows of a manifest."""
    return frozenset(table["sha256"].str[:SEEN_DIGITS])


def name_of(folder: Path) -> str:
    """`Bundle.sha256` of the bundle in a folder."""
    return _name(read_card(folder))


def versions() -> dict[str, str]:
    """Versions of the code that makes a bundle."""
    import sklearn
    import timm

    return {
        "dfd": __version__,
        "torch": str(torch.__version__),
        "timm": timm.__version__,
        "scikit-learn": sklearn.__version__,
    }


def _load_detector(folder: Path, content: dict[str, Any], common: dict[str, Any]) -> DetectorBundle:
    with _card_of(folder):
        model = _model_config(content["model"])
        preprocessing = Preprocessing.from_dict(content["preprocessing"])
        detector = build_to_fill(model, preprocessing)
    try:
        # Copies: in the file tensors lie unaligned, and kernels for such memory round otherwise in the last digit.
        weights = {key: value.clone() for key, value in load_file(folder / WEIGHTS).items()}
        detector.load_state_dict(weights, assign=True)
    except SafetensorError as error:
        raise UserError(f"{folder / WEIGHTS} is no safetensors file: {error!s}") from None
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS} does not fit the model in {FILE}: {str(error).splitlines()[0]}") from None
    return DetectorBundle(**common, model=model, detector=detector.eval())


def _load_ensemble(folder: Path, content: dict[str, Any], common: dict[str, Any]) -> EnsembleBundle:
    members = []
    with _card_of(folder):
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


def _save_weights(detector: Detector, path: Path) -> None:
    with replacing(path) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in detector.state_dict().items()}, temporary)


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


def _check_file(path: Path, digest: str) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing; the bundle is incomplete")
    if sha256_of(path) != digest:
        raise UserError(f"{path} is damaged: its sha256 is not the one in {FILE}")


def _name(content: dict[str, Any]) -> str:
    """One hash: the weights' for a network, that of all its files and members for an ensemble."""
    if content["kind"] == "detector":
        return str(content["files"][WEIGHTS])
    return hashlib.sha256(repr((content["files"], content["members"])).encode()).hexdigest()


def _model_config(values: dict[str, Any]) -> ModelConfig:
    unknown = values.keys() - {item.name for item in fields(ModelConfig)}
    if unknown:
        raise UserError(f"unknown entry model.{min(unknown)}")
    config = ModelConfig(**values)
    check(config, "model.")
    return config


def read_card(folder: Path) -> dict[str, Any]:
    """The content of bundle.yaml, its checksum and format checked; see `load` for the rest."""
    path = folder / FILE
    content = sealed.read(path)
    if content.get("format") != FORMAT:
        raise UserError(f"{path}: format {content.get('format')!r} is not known; accepted is {FORMAT}")
    return content


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the bundle is incomplete") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not text") from None
