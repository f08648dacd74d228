"""What `gan train` ends with: the discriminator as a detector of this GAN's images, measured on new ones."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from dfd.commands.data import prepared
from dfd.commands.results import exit_code, predict_split, publish
from dfd.config import DataConfig, EvaluationConfig, GanTrainConfig, ModelConfig
from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.samples import MARK, load_samples
from dfd.errors import EXIT_OK, UserError
from dfd.evaluation.calibration import Calibration, calibrate
from dfd.evaluation.metrics import NAMES, measure
from dfd.evaluation.runs import METRICS, OF_IMAGES
from dfd.evaluation.wording import number
from dfd.files import write_text
from dfd.gan.discriminator import Discriminator
from dfd.inference.engine import TorchEngine
from dfd.inference.forward import compute, in_precision
from dfd.inference.predictions import predictions_of
from dfd.models.bundle import DetectorBundle, load, save, seen_in, versions
from dfd.models.detector import Detector, assemble, preprocessing_of
from dfd.report.words import interval
from dfd.runtime import Runtime
from dfd.training.gan_head import FEWEST_GROUPS, fit_head, put_head
from dfd.training.gan_task import discriminator_shape

CRITIC = "critic"
WORDS = {
    CRITIC: "the critic's own unit",
    "image": "head on image branch",
    "frequency": "head on frequencies",
    "both": "head on both",
}
NO_CALIBRATION = Calibration(1.0, 0.0, 0.5, 0.5, 0.5)  # the critic's own threshold is a logit of 0
SHOWN = ("auroc", "accuracy")


def run(
    config: GanTrainConfig,
    discriminator: Discriminator,
    training: dict[str, Any],
    runtime: Runtime,
    out: Path,
) -> int:
    """Fit heads on val, save the bundle, measure on test: reals that were held out against new samples."""
    data = replace(config.data, own="real", add=[f"{MARK}{out}"], min_side=config.gan.resolution)
    if runtime.broadcast(_too_alike(out)):
        return _without(training, runtime, out)
    manifest = prepared(data, runtime)
    name = discriminator_shape(config.gan).name()
    model = ModelConfig("gan_discriminator", name, pretrained=False, fit="square", cpu_bf16=config.gan.cpu_bf16)
    detector = runtime.place(assemble(model, discriminator.trunk, preprocessing_of(model)))
    val = _rows(manifest, "val", discriminator, detector, config, runtime)
    branches = _branches(detector)
    heads = {name: fit_head(val.features, val.labels, val.groups, part, config.seed) for name, part in branches.items()}
    chosen = {
        name: calibrate(head.out_of_fold, val.labels, val.groups, config.calibration) for name, head in heads.items()
    }
    if runtime.is_main:
        put_head(detector, heads[config.gan.branches])
        save(_bundle(config, data, manifest, model, detector, chosen[config.gan.branches], training), out / "bundle")
    runtime.wait()
    bundle = load(out / "bundle")  # what is measured is what lies on the disk
    engine = TorchEngine(bundle, runtime)
    test = _rows(manifest, "test", discriminator, detector, config, runtime)
    predictions = predict_split(engine, manifest, "test", config.evaluation, runtime)
    if runtime.is_main:
        scored = {name: (test.features @ head.weight + head.bias, chosen[name]) for name, head in heads.items()}
        scored[CRITIC] = (-test.critic, NO_CALIBRATION)
        figures = {name: _figures(test.table, *each, config.evaluation) for name, each in scored.items()}
        more = {"training": training, "branches": figures}
        publish(predictions, engine, manifest, "test", config.evaluation, runtime, out, more=more)
        _print(figures)
        print(f"bundle       {out / 'bundle'}")
    return exit_code(predictions)


@dataclass(frozen=True)
class _Rows:
    """A split as the discriminator sees it: features [n, F], and the critic's logits [n], high for reals."""

    table: pd.DataFrame
    features: np.ndarray
    critic: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return self.table["label"].to_numpy(np.int64)

    @property
    def groups(self) -> np.ndarray:
        return self.table["group"].to_numpy()


def _rows(
    manifest: Manifest,
    split: str,
    discriminator: Discriminator,
    detector: Detector,
    config: GanTrainConfig,
    runtime: Runtime,
) -> _Rows:
    table = manifest.rows(split)
    files = [manifest.file(path) for path in table["path"]]
    images = Images(files, detector.preprocessing, config.data.max_pixels)
    discriminator.eval()

    def both(inputs: torch.Tensor) -> torch.Tensor:
        critic = discriminator((inputs.float() - detector.shift) / detector.scale)
        return torch.cat([detector.features(inputs), critic[:, None]], dim=1)

    function = in_precision(detector, both, runtime)
    values, errors = compute(function, images, (detector.width + 1,), config.evaluation.batch_size, runtime)
    for row, reason in errors.items():
        raise UserError(f"{files[row]}: {reason}; the file has changed since it was prepared")
    return _Rows(table, values[:, :-1], values[:, -1])


def _branches(detector: Detector) -> dict[str, slice]:
    """The columns of the features that each branch gives, and those of both."""
    ends = np.cumsum(list(detector.backbone.widths.values())).tolist()
    parts = {
        name: slice(end - width, end) for end, (name, width) in zip(ends, detector.backbone.widths.items(), strict=True)
    }
    return parts if len(parts) == 1 else {"both": slice(0, ends[-1]), **parts}


def _figures(
    rows: pd.DataFrame, logits: np.ndarray, calibration: Calibration, settings: EvaluationConfig
) -> dict[str, Any]:
    found = measure(predictions_of(rows, logits, {}, calibration), calibration.threshold, settings)
    return {key: found["overall"][key] for key in SHOWN}


def _bundle(
    config: GanTrainConfig,
    data: DataConfig,
    manifest: Manifest,
    model: ModelConfig,
    detector: Detector,
    calibration: Calibration,
    training: dict[str, Any],
) -> DetectorBundle:
    """It has seen the reals of train as a critic, and the val split as the rows that its head was fitted on."""
    rows = {"train": manifest.rows("train").query("label == 0"), "val": manifest.rows("val")}
    counts = {split: len(table) for split, table in rows.items()}
    return DetectorBundle(
        name=f"{config.name}-discriminator",
        model=model,
        detector=detector,
        calibration=calibration,
        max_pixels=config.data.max_pixels,
        data={"name": manifest.name, "fingerprint": manifest.fingerprint, **counts, "fitted_on": "val"},
        training=training,
        metrics={"split": "val", "n": counts["val"]},
        config=yaml.safe_dump({**asdict(config), "data": asdict(data)}, sort_keys=False, allow_unicode=True),
        seen=seen_in(pd.concat(rows.values())),
        versions=versions(),
    )


def _too_alike(out: Path) -> bool:
    """Whether the samples are too few, but for repetitions, to fit and measure a detector on."""
    table = load_samples(f"{MARK}{out}").table
    groups = table.groupby("split")["group"].nunique()
    return groups.get("val", 0) < FEWEST_GROUPS or groups.get("test", 0) < 1


def _without(training: dict[str, Any], runtime: Runtime, out: Path) -> int:
    """End the run without a detector, and say why."""
    if runtime.is_main:
        why = "the samples nearly repeat each other: too few are different for a detector to be fitted and measured on"
        print(f"no bundle    {why}")
        content = {"kind": OF_IMAGES, "training": training, "no_detector": why}
        write_text(out / METRICS, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return EXIT_OK


def _print(figures: dict[str, Any]) -> None:
    print("\non the same images, by what the discriminator looks at")
    for name, found in figures.items():
        told = [f"{NAMES[key]} {number(found[key]['value'])} ({interval(found[key])})" for key in SHOWN]
        print(f"  {WORDS.get(name, name):<22} {'  '.join(told)}  n = {found['auroc']['n']}")
