"""dfd train: manifest in, bundle and report out."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.metrics import roc_auc_score

from dfd.commands import train_folds
from dfd.commands.data import prepared
from dfd.commands.results import exit_code, predict_split, publish
from dfd.config import TrainConfig
from dfd.data.dataset import Copies, Features, Images
from dfd.data.manifest import SPLITS, Manifest
from dfd.data.prepare import manifest_folder
from dfd.data.transforms import Augmentation
from dfd.errors import UserError
from dfd.evaluation.calibration import calibrate
from dfd.inference.engine import TorchEngine
from dfd.inference.forward import compute_logits
from dfd.models.bundle import DetectorBundle, load, save, seen_in, versions
from dfd.models.detector import Detector, preprocessing_of
from dfd.models.lora import merge
from dfd.models.weights import build_pretrained
from dfd.runtime import Runtime, start
from dfd.training import checkpoint
from dfd.training.head_start import start_head
from dfd.training.logistic_task import check_logistic, without_effect
from dfd.training.loop import Progress, fit
from dfd.training.splits import Split, load_split
from dfd.training.tasks import task_of
from dfd.training.teacher import Teacher, teacher_of
from dfd.training.units import check_units, told, with_units


def run(config: TrainConfig, out: Path) -> int:
    """Train, calibrate on validation, evaluate on test; or all of that with folds. `out` is the run's folder."""
    runtime = start(config.runtime, cpu_bf16=config.model.cpu_bf16)
    out = runtime.broadcast(out)
    _check(config)
    runtime.on_main(lambda: checkpoint.begin(out, config.resume))
    manifest = prepared(config.data, runtime)
    config = with_units(config, manifest)
    torch.manual_seed(config.seed)  # the head's first weights, or all of them
    detector, origin = build_pretrained(config.model, preprocessing_of(config.model))
    runtime.place(detector)
    teacher = teacher_of(config, detector.preprocessing, manifest, runtime)
    if runtime.is_main:
        _announce(config, manifest, origin, teacher, runtime, out)
    if config.cv.folds:
        return train_folds.run(config, manifest, detector, origin, runtime, out)
    manifest.rows("test")  # what the run will be measured on: its lack is told now, and not after hours
    start_head(config, manifest.rows("train"), manifest, detector, runtime, out)
    train, val = (
        load_split(name, manifest.rows(name), config, manifest, detector, runtime) for name in ("train", "val")
    )
    task = task_of(config, detector, train, val, runtime, teacher)
    progress = fit(task, config.trainer, runtime, out, config.seed)
    runtime.wait()  # the main rank may still be writing
    task.load_weights(checkpoint.load_best(out))
    merge(detector)
    training = {
        "weights": origin,
        "seconds": round(progress.seconds, 1),
        **_effort(progress),
        **({"teacher": teacher.bundle.name, "teacher_sha256": teacher.bundle.sha256} if teacher else {}),
        "device": runtime.describe(),
    }
    logits = _logits(config, detector, val, runtime)
    if runtime.is_main:
        made = _bundle(config, manifest, detector, logits, val, training, teacher)
        save(made, out / "bundle")
    runtime.wait()
    bundle = load(out / "bundle")  # what is measured is what lies on the disk
    engine = TorchEngine(bundle, runtime)
    predictions = predict_split(engine, manifest, "test", config.evaluation, runtime)
    if runtime.is_main:
        history = pd.DataFrame(progress.history)
        publish(predictions, engine, manifest, "test", config.evaluation, runtime, out, history)
        print(f"bundle       {out / 'bundle'}")
        checkpoint.remove(out)  # last: until then the run can go on
    return exit_code(predictions)


def _announce(
    config: TrainConfig, manifest: Manifest, origin: str, teacher: Teacher | None, runtime: Runtime, out: Path
) -> None:
    present = manifest.table["split"].value_counts()
    counts = ", ".join(f"{present[split]} {split}" for split in SPLITS if split in present)
    print(f"data         {manifest.name} {manifest.fingerprint}: {counts}")
    for kind, word in (("unusable", "could not be read"), ("dropped", "were left out")):
        if manifest.header[kind]:
            folder = manifest_folder(config.data)
            print(f"             {manifest.header[kind]:,} images {word}: {folder / (kind + '.csv')}")
    for caution in manifest.header.get("cautions", []):
        print(f"caution      {caution}")
    if idle := without_effect(config.trainer):
        print(f"caution      no effect with trainer.solver={config.trainer.solver}: {', '.join(idle)}")
    print(f"model        {config.model.name}, starting from: {origin}")
    if config.model.units > 1:
        print(f"head         {told(config, manifest)}")
    if teacher:
        print(f"teacher      {teacher.bundle.name}: {teacher.folder}")
    print(f"device       {runtime.describe()}")
    print(f"run          {out}", flush=True)


def _effort(progress: Progress) -> dict[str, Any]:
    """What was gone through, and what of it was kept."""
    kept = progress.history[progress.best_period - 1]
    if "c" in kept:
        return {"fits": progress.period, "c": kept["c"]}
    return {"steps": progress.step, "epochs": progress.period, "best_epoch": progress.best_period}


def _logits(config: TrainConfig, detector: Detector, val: Split, runtime: Runtime) -> np.ndarray:
    """[1 + copies, n]: of the validation images, and of their copies, changed as training images are."""
    sets: list[Images | Features] = [val.data]
    if config.augment.val_copies:
        changing = val.images.changed_by(Augmentation(config.augment))
        sets += [Copies(changing, number) for number in range(config.augment.val_copies)]
    found = []
    for images in sets:
        logits, errors = compute_logits(detector, images, config.evaluation.batch_size, runtime)
        val.fail_on(errors)
        found.append(logits)
    return np.stack(found)


def _check(config: TrainConfig) -> None:
    """Raise UserError for settings that don't go together."""
    check_logistic(config)
    check_units(config)
    copies = config.augment.val_copies
    if copies and config.cv.folds:
        raise UserError(
            f"augment.val_copies={copies} has no part in a cross-validation; with cv.folds add augment.val_copies=0"
        )
    if copies and replace(config.augment, splices=0.0).is_none():
        raise UserError(f"augment.val_copies={copies}: augment={config.augment.name} changes no image; accepted is 0")


def _bundle(
    config: TrainConfig,
    manifest: Manifest,
    detector: Detector,
    logits: np.ndarray,
    val: Split,
    training: dict[str, Any],
    teacher: Teacher | None,
) -> DetectorBundle:
    """Everything chosen here is chosen on validation. What a teacher has seen, its pupil has heard of."""
    rows = {split: manifest.rows(split) for split in ("train", "val")}
    counts = {split: len(table) for split, table in rows.items()}
    labels, groups = (np.tile(each, len(logits)) for each in (val.labels, val.groups))
    return DetectorBundle(
        name=config.name,
        model=replace(config.model, weights=None),  # the path means nothing elsewhere
        detector=detector,
        calibration=calibrate(logits.ravel(), labels, groups, config.calibration),
        max_pixels=config.data.max_pixels,
        data={"name": manifest.name, "fingerprint": manifest.fingerprint, **counts},
        training=training,
        metrics={"split": "val", "n": len(val.labels), "auroc": float(roc_auc_score(val.labels, logits[0]))},
        config=yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True),
        seen=seen_in(pd.concat(rows.values())) | (teacher.bundle.seen if teacher else frozenset()),
        versions=versions(),
    )
