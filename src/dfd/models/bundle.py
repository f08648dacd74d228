"""The bundle: a folder that is a whole detector. Weights, preprocessing, calibration, origin; no pickle.

bundle.yaml          what it is, how to use it, what it was made from
model.safetensors    weights; their sha256 is in bundle.yaml
config.yaml          the resolved configuration of the run that made it
seen.txt             which images it was trained or tuned on, so that no test counts them
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from safetensors.torch import load_file, save_file

from dfd import __version__
from dfd.config import ModelConfig, check
from dfd.data.transforms import Preprocessing
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.files import replacing, write_text
from dfd.models.detector import Detector, build

FORMAT = 1
FILE, WEIGHTS, CONFIG, SEEN = "bundle.yaml", "model.safetensors", "config.yaml", "seen.txt"
SEEN_DIGITS = 16  # of an image's sha256: enough to tell 10 million images apart, at 17 bytes each


@dataclass(frozen=True)
class Bundle:
    """A detector with all that is needed to use it and to know where it comes from.

    `data`: name and fingerprint of the manifest it was trained on. `training`: seconds, steps and so on.
    `metrics`: figures on validation at the end of training. `seen`: the first digits of the sha256 of each
    image of its train and val splits.
    """

    name: str
    model: ModelConfig
    detector: Detector
    preprocessing: Preprocessing
    calibration: Calibration
    max_pixels: int
    data: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    config: str
    seen: frozenset[str]
    versions: dict[str, str]
    sha256: str = ""


def save(bundle: Bundle, folder: Path) -> None:
    """Write the bundle; bundle.yaml comes last, so that a folder without it is not a bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    with replacing(folder / WEIGHTS) as temporary:
        state = {key: value.detach().cpu().contiguous() for key, value in bundle.detector.state_dict().items()}
        save_file(state, temporary)
        digest = sha256_of(temporary)
    write_text(folder / CONFIG, bundle.config)
    write_text(folder / SEEN, "".join(f"{digits}\n" for digits in sorted(bundle.seen)))
    content = {
        "format": FORMAT,
        "kind": "detector",
        "name": bundle.name,
        "labels": {"real": 0, "fake": 1},
        "model": asdict(bundle.model),
        "preprocessing": {**bundle.preprocessing.to_dict(), "max_pixels": bundle.max_pixels},
        "calibration": bundle.calibration.to_dict(),
        "data": bundle.data,
        "training": bundle.training,
        "metrics": bundle.metrics,
        "versions": bundle.versions,
        "weights_sha256": digest,
    }
    write_text(folder / FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def load(folder: Path) -> Bundle:
    """Read a bundle and check it. Raises UserError if it is incomplete, damaged or of another format."""
    content = _read_yaml(folder / FILE)
    if content.get("format") != FORMAT:
        raise UserError(f"{folder / FILE}: format {content.get('format')!r} is not known; accepted is {FORMAT}")
    try:
        model = _model_config(content["model"])
        values = dict(content["preprocessing"])
        max_pixels = int(values.pop("max_pixels"))
        preprocessing = Preprocessing.from_dict(values)
        calibration = Calibration.from_dict(content["calibration"])
        about = {key: content[key] for key in ("name", "data", "training", "metrics", "versions")}
        about["data"]["fingerprint"], about["training"]["weights"]  # what commands rely on
        digest = content["weights_sha256"]
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error!s}") from None
    return Bundle(
        **about,
        model=model,
        detector=_load_detector(folder / WEIGHTS, digest, model, preprocessing),
        preprocessing=preprocessing,
        calibration=calibration,
        max_pixels=max_pixels,
        config=_read_text(folder / CONFIG),
        seen=frozenset(_read_text(folder / SEEN).split()),
        sha256=digest,
    )


def find(wanted: str | None, outputs: Path = Path("outputs")) -> Path:
    """The bundle folder that `wanted` names (a bundle, or a run that holds one); None: the newest under `outputs`.

    Raises UserError if there is none.
    """
    if wanted is not None:
        for folder in (Path(wanted), Path(wanted) / "bundle"):
            if (folder / FILE).is_file():
                return folder
        raise UserError(f"bundle={wanted}: no {FILE} there; accepted is a bundle or the folder of a finished run")
    found = list(outputs.glob(f"*/*/*/bundle/{FILE}"))
    if not found:
        raise UserError(f"no bundle under {outputs}/; run `dfd train` first, or name one with bundle=FOLDER")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def seen_in(table: pd.DataFrame) -> frozenset[str]:
    """What `Bundle.seen` holds for the rows of a manifest."""
    return frozenset(table["sha256"].str[:SEEN_DIGITS])


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of the code that makes a bundle."""
    import timm

    return {"dfd": __version__, "torch": str(torch.__version__), "timm": timm.__version__}


def _load_detector(path: Path, digest: str, model: ModelConfig, preprocessing: Preprocessing) -> Detector:
    if not path.is_file():
        raise UserError(f"{path} is missing; the bundle is incomplete")
    if sha256_of(path) != digest:
        raise UserError(f"{path} is damaged: its sha256 is not the one in {FILE}")
    detector = build(model, preprocessing)
    try:
        detector.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the model in {FILE}: {str(error).splitlines()[0]}") from None
    return detector.eval()


def _model_config(values: dict[str, Any]) -> ModelConfig:
    unknown = values.keys() - {item.name for item in fields(ModelConfig)}
    if unknown:
        raise UserError(f"unknown entry model.{min(unknown)}")
    config = ModelConfig(**values)
    check(config, "model.")
    return config


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; the bundle is incomplete") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is not text") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds no settings")
    return content
