"""A trained generator on the disk. No pickle.

<run>/generator/generator.yaml          its shape, what it was trained on and how; holds the weights' sha256
                generator.safetensors   the moving average of its weights
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dfd import sealed, tensors
from dfd.errors import UserError
from dfd.files import sha256_of, write_text
from dfd.gan.generator import Generator, GeneratorShape

FORMAT = 1
FINISHED = "metrics.json"  # what a run writes last
FOLDER, CARD, WEIGHTS = "generator", "generator.yaml", "generator.safetensors"


@dataclass(frozen=True)
class Saved:
    """A generator and where it comes from.

    `data`: the settings (of DataConfig) of the data set it was trained on, `fingerprint` that set's. `training`: kimg,
    seconds and so on. `sha256` names the weights; empty until it is saved.
    """

    name: str
    generator: Generator
    data: dict[str, Any]
    fingerprint: str
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def resolution(self) -> int:
        """Side of its images in pixels."""
        return self.generator.shape.resolution


def save(saved: Saved, run: Path) -> None:
    """Write the generator into a run's folder; the card comes last, so that a folder without it holds none."""
    folder = run / FOLDER
    (folder / CARD).unlink(missing_ok=True)
    tensors.save(saved.generator.state_dict(), folder / WEIGHTS)
    card = {
        "format": FORMAT,
        "name": saved.name,
        "shape": asdict(saved.generator.shape),
        "data": saved.data,
        "fingerprint": saved.fingerprint,
        "training": saved.training,
        "sha256": sha256_of(folder / WEIGHTS),
    }
    write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, allow_unicode=True))


def find(run: str | None, outputs: Path = Path("outputs"), setting: str = "run") -> Path:
    """The folder of the GAN run that `run` names; None: the newest finished one under `outputs`.

    Raises UserError, in the name of the `setting` that it was wanted for, if there is none.
    """
    if run is not None:
        if not (Path(run) / FOLDER / CARD).is_file():
            raise UserError(
                f"{setting}={run}: no {FOLDER}/{CARD} there; accepted is the folder of a finished `dfd gan train`"
            )
        return Path(run)
    cards = outputs.glob(f"gan-train/*/*/{FOLDER}/{CARD}")
    found = [card for card in cards if (card.parents[1] / FINISHED).is_file()]
    if not found:
        raise UserError(
            f"no finished GAN under {outputs}/; run `dfd gan train` first, or name one with {setting}=FOLDER"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parents[1]


def _shape(path: Path, values: dict[str, int]) -> GeneratorShape:
    try:
        return GeneratorShape(**values)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def load(run: Path) -> Saved:
    """Read the generator of a run and check it. Raises UserError if it is incomplete or damaged."""
    folder = run / FOLDER
    try:
        card = sealed.settings_of((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise UserError(f"{folder / CARD}: format {card['format']!r} is not known; accepted is {FORMAT}")
        shape = _shape(folder / CARD, card["shape"])
        told = {key: card[key] for key in ("name", "data", "fingerprint", "training", "sha256")}
        if not isinstance(told["data"], dict) or not isinstance(told["training"], dict):
            raise ValueError("data and training have to be mappings")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder / CARD} is damaged or missing: {error}") from None
    if not (folder / WEIGHTS).is_file() or sha256_of(folder / WEIGHTS) != told["sha256"]:
        raise UserError(f"{folder / WEIGHTS} is damaged or missing: its sha256 is not the one in {CARD}")
    generator = Generator(shape)
    weights = tensors.load(folder / WEIGHTS)
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{folder / WEIGHTS} does not fit the shape in {CARD}: {str(error).splitlines()[0]}") from None
    return Saved(generator=generator.eval().requires_grad_(False), **told)
