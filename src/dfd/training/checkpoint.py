"""The state of a run on disk: what is needed to go on, and the best weights so far."""

import shutil
from pathlib import Path
from typing import Any

import torch

from dfd import tensors
from dfd.errors import UserError
from dfd.files import replacing

FOLDER = "checkpoint"


def begin(run: Path, resume: bool) -> None:
    """Mark the run as unfinished, which makes it resumable from its first second.

    Raises UserError if another run left its checkpoints there and is not to be resumed.
    """
    folder = run / FOLDER
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise UserError(f"{run} holds an unfinished run; add resume=true to go on with it, or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Write the state of the run atomically."""
    with replacing(run / FOLDER / "last.pt") as temporary:
        torch.save(state, temporary)


def has_state(run: Path) -> bool:
    """Whether a state was saved that a run goes on from."""
    return (run / FOLDER / "last.pt").exists()


def load_state(run: Path) -> dict[str, Any] | None:
    """The last state saved, or None in a fresh run. Raises UserError if the file is damaged."""
    path = run / FOLDER / "last.pt"
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here, all of which mean the same to the user
        raise UserError(
            f"{path} is damaged ({type(error).__name__}); start the run again without resume=true"
        ) from None


def check_data(before: str, now: str) -> None:
    """Raise UserError if a run that is to go on was begun on data of another fingerprint."""
    if before != now:
        raise UserError(
            f"the data have changed since the run began (fingerprint {before}, now {now}); start it again without "
            "resume=true"
        )


def save_best(run: Path, weights: dict[str, torch.Tensor]) -> None:
    """Keep the best weights so far, atomically."""
    tensors.save(weights, run / FOLDER / "best.safetensors")


def remove(run: Path) -> None:
    """Delete the checkpoints of a finished run; its bundle holds the weights."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def load_best(run: Path) -> dict[str, torch.Tensor]:
    """The best weights so far."""
    return tensors.load(run / FOLDER / "best.safetensors")
