"""Cross-validation: a model for each fold, which scores the images of that fold and has seen none of them.

Within the images that a fold's model may see, a grouped part is set aside to choose the epoch and the model's own
scale: nothing is chosen on the fold itself. Folds are trained one after the other, each in a folder of its own, so that
a run that was cut off goes on with the fold it was at.

folds/<number>/weights.safetensors   what was trained (a frozen backbone is not in it), logits on a common scale
               features.npy          float32 [n, F] of the fold's images
               fold.json             data, rows, logits, history; written last
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dfd import tensors
from dfd.config import TrainConfig
from dfd.data.dataset import Features
from dfd.data.manifest import SPLITS, Manifest
from dfd.data.splits import assign_folds, check_labels, deal
from dfd.errors import UserError
from dfd.evaluation.scaling import fit_platt
from dfd.files import replacing, write_text
from dfd.inference.forward import compute_features, compute_logits
from dfd.models.detector import Detector, rescale_head
from dfd.models.lora import merge
from dfd.runtime import Runtime, seed_from
from dfd.training import checkpoint
from dfd.training.head_start import start_head
from dfd.training.loop import Progress, fit
from dfd.training.splits import Split, load_split
from dfd.training.tasks import task_of

WEIGHTS, FEATURES, FOLD = "weights.safetensors", "features.npy", "fold.json"

Start = Callable[[], Detector]  # a fresh network on the device, its head random


@dataclass(frozen=True)
class Folds:
    """A finished cross-validation.

    `rows` are those of the manifest outside of its test split, with `fold` and out-of-fold `logit`; `features` [n, F]
    are in their order. `weights` are the trained parts of the folds' models.
    """

    rows: pd.DataFrame
    features: np.ndarray
    weights: list[dict[str, torch.Tensor]]
    history: pd.DataFrame
    seconds: float
    steps: int


def open_rows(manifest: Manifest) -> pd.DataFrame:
    """The rows that may be trained and tuned on: all but the test split's."""
    return manifest.table[manifest.table["split"] != "test"].reset_index(drop=True)


def cross_validate(config: TrainConfig, manifest: Manifest, start: Start, runtime: Runtime, out: Path) -> Folds:
    """Train the folds that are not finished in `out`. Raises UserError if the folds can't be made of the data."""
    rows = open_rows(manifest)
    rows["fold"] = assign_folds(rows, config.cv.folds, config.data.split_seed)
    for number in range(config.cv.folds):
        folder = out / "folds" / str(number)
        inside = rows[rows["fold"] == number].reset_index(drop=True)
        if not _is_done(folder, inside, manifest, runtime):
            if runtime.is_main:
                print(f"fold         {number + 1} of {config.cv.folds}", flush=True)
            others = rows[rows["fold"] != number].reset_index(drop=True)
            _run_fold(config, manifest, inside, others, number, start(), runtime, folder)
        runtime.wait()
    return _collect(rows, [out / "folds" / str(number) for number in range(config.cv.folds)])


def train_on(
    config: TrainConfig,
    manifest: Manifest,
    rows: pd.DataFrame,
    number: int,
    detector: Detector,
    runtime: Runtime,
    out: Path,
) -> tuple[dict[str, torch.Tensor], Progress]:
    """Train on `rows`, less a part to choose the epoch on; `number` seeds the run and the part.

    Leaves the best epoch's network in `detector`, its head scaled so that its logits are log-odds on that part, and
    returns what was trained.
    """
    seed = seed_from(config.seed, number)
    parts = deal(rows, [1 - config.cv.val_fraction, config.cv.val_fraction], config.data.split_seed + 1 + number)
    check_labels(rows["label"].to_numpy(), parts, {SPLITS[part]: part for part in (0, 1)})
    torch.manual_seed(seed)
    detector.reset_head()
    start_head(config, rows[parts == 0].reset_index(drop=True), manifest, detector, runtime, out)
    train, val = (
        load_split(SPLITS[part], rows[parts == part].reset_index(drop=True), config, manifest, detector, runtime)
        for part in (0, 1)
    )
    runtime.forget_trained()
    task = task_of(replace(config, seed=seed), detector, train, val, runtime)
    runtime.on_main(lambda: checkpoint.begin(out, resume=True))
    progress = fit(task, config.trainer, runtime, out, seed)
    runtime.wait()  # the main rank may still be writing
    task.load_weights(checkpoint.load_best(out))
    merge(detector)
    logits, errors = compute_logits(detector, val.data, config.evaluation.batch_size, runtime)
    val.fail_on(errors)
    scale = fit_platt(logits.astype(np.float64), val.labels)
    rescale_head(detector, scale.temperature, scale.bias)
    return task.trained_weights(), progress


def _run_fold(
    config: TrainConfig,
    manifest: Manifest,
    inside: pd.DataFrame,
    others: pd.DataFrame,
    number: int,
    detector: Detector,
    runtime: Runtime,
    folder: Path,
) -> None:
    weights, progress = train_on(config, manifest, others, number, detector, runtime, folder)
    split = load_split("val", inside, config, manifest, detector, runtime)
    features = _features(split, detector, config.evaluation.batch_size, runtime)
    logits, _ = compute_logits(detector, Features(torch.from_numpy(features)), len(features), runtime)
    if not runtime.is_main:
        return
    tensors.save(weights, folder / WEIGHTS)
    with replacing(folder / FEATURES) as temporary:
        np.save(temporary, features)
    card = {
        "data": manifest.fingerprint,
        "images": _images(inside),
        "logits": [float(logit) for logit in logits],
        "progress": {**asdict(progress), "losses": []},
    }
    write_text(folder / FOLD, json.dumps(card) + "\n")
    checkpoint.remove(folder)


def _features(split: Split, detector: Detector, batch_size: int, runtime: Runtime) -> np.ndarray:
    if isinstance(split.data, Features):
        return split.data.features.numpy()
    features, errors = compute_features(detector, split.data, batch_size, runtime)
    split.fail_on(errors)
    return features


def _is_done(folder: Path, inside: pd.DataFrame, manifest: Manifest, runtime: Runtime) -> bool:
    """Whether the fold was trained. Raises UserError if it was a fold of other images, or of others under these names:
    groups are numbered by path, so a renamed file can move images between folds. The same if a label has changed.
    """
    card = runtime.broadcast(_card(folder))
    if card is not None:
        checkpoint.check_data(card.get("data", "unknown"), manifest.fingerprint)
    if card is not None and card["images"] != _images(inside):
        raise UserError(
            f"the data have changed since {folder} was trained: its images are not those of the fold any more; "
            "start again without resume=true"
        )
    return card is not None


def _images(rows: pd.DataFrame) -> list[list[str]]:
    return rows[["path", "sha256"]].to_numpy().tolist()


def _card(folder: Path) -> dict[str, Any] | None:
    if not (folder / FOLD).is_file():
        return None
    try:
        return json.loads((folder / FOLD).read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{folder / FOLD} is damaged; delete {folder} to train this fold again") from None


def _collect(rows: pd.DataFrame, folders: list[Path]) -> Folds:
    place = pd.Series(np.arange(len(rows)), index=rows["path"])
    logits, features = np.full(len(rows), np.nan), None
    history, seconds, steps = [], 0.0, 0
    for number, folder in enumerate(folders):
        card, values = _card(folder), np.load(folder / FEATURES)
        assert card
        if features is None:
            features = np.empty((len(rows), values.shape[1]), np.float32)
        places = place.loc[[path for path, _ in card["images"]]].to_numpy()
        logits[places], features[places] = card["logits"], values
        history += [{"fold": number, **line} for line in card["progress"]["history"]]
        seconds += card["progress"]["seconds"]
        steps += card["progress"]["step"]
    assert features is not None
    weights = [tensors.load(folder / WEIGHTS) for folder in folders]
    return Folds(rows.assign(logit=logits), features, weights, pd.DataFrame(history), seconds, steps)
