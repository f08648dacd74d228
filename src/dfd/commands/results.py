"""What `train` and `eval` do alike: predict a split, measure, write the table, the figures and the report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from dfd.commands.provenance import command_line, measured_on
from dfd.commands.shortcuts import given_shortcuts
from dfd.config import EvaluationConfig
from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.transforms import Joint
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.evaluation.metrics import measure
from dfd.evaluation.runs import METRICS, OOF, PREDICTIONS
from dfd.evaluation.wording import number
from dfd.files import write_text
from dfd.inference.engine import Engine
from dfd.inference.predictions import predictions_of, save_predictions
from dfd.inference.score import score
from dfd.inference.timing import Timing, time_inference
from dfd.models.bundle import Bundle, DetectorBundle, EnsembleBundle
from dfd.report.page import ReportContext, write_report
from dfd.report.table import print_metrics
from dfd.report.words import against_best_member, interval, split_name, tuned_on
from dfd.runtime import Runtime

REPORT = "report.html"


def predict_split(
    engine: Engine, manifest: Manifest, split: str, settings: EvaluationConfig, runtime: Runtime
) -> pd.DataFrame:
    """The predictions table of a split. Images that the bundle has seen are left out.

    The one exception is the val split of a single network's own data, if no more than its epoch and threshold were
    chosen on it. An ensemble and a GAN's discriminator were fitted on it, and a cross-validated detector trained on it.
    """
    bundle = engine.bundle
    rows = manifest.rows(split)
    if manifest.fingerprint != bundle.data["fingerprint"] or bundle.fitted_on_val or bundle.data.get("folds"):
        rows = _without_seen(rows, bundle, manifest, runtime)
    paths = [manifest.file(path) for path in rows["path"]]

    def images_for(joint: Joint) -> Images:
        return Images(paths, joint, bundle.max_pixels)

    logits, errors = score(engine, images_for, settings.batch_size, runtime, f"{split} images")
    return predictions_of(rows, logits, errors, bundle.calibration)


def publish(
    predictions: pd.DataFrame,
    engine: Engine,
    manifest: Manifest,
    split: str,
    settings: EvaluationConfig,
    runtime: Runtime,
    out: Path,
    history: pd.DataFrame | None = None,
    prefix: str | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """Measure; write predictions, report and, last of all, metrics.json; print the table and where things are.

    `prefix` goes before the files' names, for a second result of a run. `more` is added to metrics.json.
    """
    bundle = engine.bundle
    names = {name: out / f"{prefix or ''}{name}" for name in (METRICS, PREDICTIONS, REPORT)}
    timing = time_inference(engine, runtime)
    metrics = {
        **measured_on(bundle, manifest, split),
        "trained_on": {key: bundle.data[key] for key in ("name", "fingerprint")},
        "left_out": 0 if split == OOF else len(manifest.rows(split)) - len(predictions),
        "tuned_on": 0 if split == OOF else int(bundle.has_seen(predictions["sha256"]).sum()),
        "device": engine.describe(),
        **measure(predictions, bundle.calibration.threshold, settings),
        **given_shortcuts(predictions, manifest, settings),
        "inference_ms": {"median": timing.median_ms, "p95": timing.p95_ms},
        **(more or {}),
    }
    save_predictions(predictions, names[PREDICTIONS])
    context = ReportContext(
        title=f"{bundle.name} on {manifest.name}",
        metrics=metrics,
        predictions=predictions,
        data_root=manifest.root,
        facts=_facts(bundle, manifest, metrics, timing),
        history=history,
        command=command_line(),
        unsure_band=(bundle.calibration.unsure_low, bundle.calibration.unsure_high),
    )
    write_report(names[REPORT], context)
    write_text(names[METRICS], json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    print(f"\n{bundle.name} on {manifest.name}, {split_name(split)}")
    print_metrics(Console(), metrics)
    if caution := tuned_on(metrics):
        print(f"caution      {caution}")
    if found := metrics.get("auroc_given_shortcuts"):
        print(f"shortcuts    AUROC among images that the data's audit can't tell apart: {_in_words(found)}")
    if found := metrics.get("against_best_member"):
        print(f"best member  {against_best_member(found)}")
    print(f"inference    {timing}")
    print(f"figures      {names[METRICS]}\npredictions  {names[PREDICTIONS]}\nreport       {names[REPORT]}")


def exit_code(predictions: pd.DataFrame) -> int:
    """EXIT_PARTIAL if some images could not be read."""
    return EXIT_PARTIAL if predictions["error"].notna().any() else EXIT_OK


def _without_seen(rows: pd.DataFrame, bundle: Bundle, manifest: Manifest, runtime: Runtime) -> pd.DataFrame:
    seen = bundle.has_seen(rows["sha256"])
    if runtime.is_main and seen.any():
        print(
            f"left out     {seen.sum()} of {len(rows)} images: {bundle.name} was trained or tuned on these very files"
        )
    if seen.all():
        raise UserError(
            f"{bundle.name} was trained or tuned on all {len(rows)} images of this split of {manifest.name}"
        )
    return rows[~seen].reset_index(drop=True)


def _facts(bundle: Bundle, manifest: Manifest, metrics: dict, timing: Timing) -> dict[str, dict[str, str]]:
    calibration = bundle.calibration
    chosen = "chosen out-of-fold" if bundle.data.get("folds") else "chosen on validation"
    return {
        "Measured on": {
            "Data set": manifest.name,
            "Split": split_name(metrics["split"]),
            "Fingerprint": manifest.fingerprint,
            "Device": metrics["device"],
            **_beyond_shortcuts(metrics),
            **_against_best(metrics),
        },
        "Detector": {
            "Name": bundle.name,
            **_networks(bundle),
            "Calibration": calibration.method,
            "Threshold": f"{calibration.threshold:.4f}, {chosen}",
            "Unsure band": f"{calibration.unsure_low:.4f} to {calibration.unsure_high:.4f}, {chosen}",
        },
        "Training": {
            "Data set": f"{bundle.data['name']} ({bundle.data['fingerprint']})",
            "Images": _images(bundle),
            **_effort(bundle.training),
        },
        "Inference": {"Time": str(timing)},
    }


def _beyond_shortcuts(metrics: dict) -> dict[str, str]:
    found = metrics.get("auroc_given_shortcuts")
    return {"AUROC among images alike in shortcuts (see the audit of the data)": _in_words(found)} if found else {}


def _against_best(metrics: dict) -> dict[str, str]:
    found = metrics.get("against_best_member")
    return {"Against the best member": against_best_member(found)} if found else {}


def _in_words(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return f"can't be told: {figure['reason']}"
    return f"{number(figure['value'])} ({interval(figure)}), n = {figure['n']}"


def _networks(bundle: Bundle) -> dict[str, str]:
    if isinstance(bundle, DetectorBundle):
        preprocessing = bundle.preprocessing
        return {
            "Backbone": bundle.model.backbone,
            "Starting weights": str(bundle.training["weights"]),
            "Input": f"{preprocessing.size} px, {preprocessing.fit}, {preprocessing.interpolation}",
        }
    assert isinstance(bundle, EnsembleBundle)
    chosen = {key: str(value) for key, value in bundle.combiner.describe().items()}
    members = ", ".join(member.name for member in bundle.members)
    return {"Members": members, "Combined by": str(bundle.training["weights"]), **chosen}


def _images(bundle: Bundle) -> str:
    if folds := bundle.data.get("folds"):
        return f"{bundle.data['train']} in {folds} folds"
    return f"{bundle.data['train']} for training, {bundle.data['val']} for validation"


def _effort(training: dict[str, Any]) -> dict[str, str]:
    told = {"Time": f"{training['seconds']:.0f} s on {training['device']}"}
    if "c" in training:
        told["Head"] = f"logistic regression, c = {training['c']:g}, the best of {training['fits']}"
    if "best_epoch" in training:
        told["Epochs"] = f"{training['epochs']} ({training['steps']} steps); kept: {training['best_epoch']}"
    return told
