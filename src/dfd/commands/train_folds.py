"""dfd train cv.folds=k: out-of-fold predictions and features, and a bundle of all folds' models."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.metrics import roc_auc_score

from dfd.commands.results import exit_code, predict_split, publish
from dfd.config import TrainConfig
from dfd.data.manifest import Manifest
from dfd.ensemble.combiners import Mean
from dfd.evaluation.calibration import Calibration, calibrate, cross_calibrate
from dfd.evaluation.runs import OOF, OOF_FEATURES, OOF_PREFIX
from dfd.files import replacing
from dfd.inference.engine import TorchEngine
from dfd.inference.predictions import IDENTIFYING
from dfd.models.bundle import Bundle, DetectorBundle, EnsembleBundle, load, save, seen_in, versions
from dfd.models.detector import Detector, average_heads, build
from dfd.models.weights import build_pretrained
from dfd.runtime import Runtime
from dfd.training import checkpoint
from dfd.training.crossval import Folds, cross_validate, train_on
from dfd.training.log import write_history

AS_IT_IS = Calibration(1.0, 0.0, 0.5, 0.5, 0.5, "temperature")  # a fold's model gives log-odds already


def run(config: TrainConfig, manifest: Manifest, base: Detector, origin: str, runtime: Runtime, out: Path) -> int:
    """Cross-validate from the network `base`, or from where the last run in `out` was cut off."""

    def fresh() -> Detector:
        """A frozen backbone serves all folds; one that is trained is built anew, each time with the same weights."""
        if config.model.freeze == "backbone":
            return base
        torch.manual_seed(config.seed)
        return runtime.place(build_pretrained(config.model, base.preprocessing)[0])

    folds = cross_validate(config, manifest, fresh, runtime, out / checkpoint.FOLDER)
    refit: Detector | None = None
    if config.cv.final == "refit":
        refit = fresh()
        train_on(config, manifest, folds.rows, config.cv.folds, refit, runtime, out / checkpoint.FOLDER / "refit")
    oof = oof_predictions(folds.rows, config)
    if runtime.is_main:
        with replacing(out / OOF_FEATURES) as temporary:
            np.save(temporary, folds.features)
        write_history(out, folds.history.to_dict("records"))
        save(_bundle(config, manifest, base, refit, origin, folds, runtime), out / "bundle")
    runtime.wait()
    bundle = load(out / "bundle")  # what is measured is what lies on the disk
    engine = TorchEngine(bundle, runtime)
    code = exit_code(oof)
    test = None
    if (manifest.table["split"] == "test").any():
        test = predict_split(engine, manifest, "test", config.evaluation, runtime)
        code = max(code, exit_code(test))
    if runtime.is_main:
        publish(
            oof, engine, manifest, OOF, config.evaluation, runtime, out, prefix=None if test is None else OOF_PREFIX
        )
        if test is not None:
            publish(test, engine, manifest, "test", config.evaluation, runtime, out)
        print(f"bundle       {out / 'bundle'}")
        checkpoint.remove(out)  # last: until then the run can go on
    return code


def oof_predictions(rows: pd.DataFrame, config: TrainConfig) -> pd.DataFrame:
    """The predictions table of out-of-fold rows; probability and threshold of a fold come from the other folds."""
    logit, label, group, fold = (rows[name].to_numpy() for name in ("logit", "label", "group", "fold"))
    found = cross_calibrate(logit, label, group, fold, config.calibration)
    return rows[[*IDENTIFYING, "fold", "logit"]].assign(
        prob=found.prob, threshold=found.threshold, verdict=found.verdict, error=pd.Series(None, rows.index, "object")
    )


def _bundle(
    config: TrainConfig,
    manifest: Manifest,
    base: Detector,
    refit: Detector | None,
    origin: str,
    folds: Folds,
    runtime: Runtime,
) -> Bundle:
    rows = folds.rows
    logit, label, group = (rows[name].to_numpy() for name in ("logit", "label", "group"))
    training = {
        "weights": origin,
        "seconds": round(folds.seconds, 1),
        "steps": folds.steps,
        "device": runtime.describe(),
        "final": config.cv.final,
    }
    common: dict[str, Any] = {
        "name": config.name,
        "calibration": calibrate(logit, label, group, config.calibration),
        "max_pixels": config.data.max_pixels,
        "data": {
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
            "train": len(rows),
            "val": 0,
            "folds": config.cv.folds,
        },
        "training": training,
        "metrics": {"split": OOF, "n": len(rows), "auroc": float(roc_auc_score(label, logit))},
        "config": yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True),
        "seen": seen_in(rows),
        "versions": versions(),
    }
    model = replace(config.model, weights=None)  # the path means nothing elsewhere
    if refit is not None:
        return DetectorBundle(**common, model=model, detector=refit)
    if config.model.freeze == "backbone":
        average_heads(base, folds.weights)  # the mean of linear heads is a linear head: the same mean logit, at once
        return DetectorBundle(**common, model=model, detector=base)
    members = []
    for number, weights in enumerate(folds.weights):
        detector = build(model, base.preprocessing)
        detector.load_state_dict(weights)
        own = {**common, "name": f"{config.name}-fold{number}", "calibration": AS_IT_IS}
        own["seen"] = seen_in(rows[rows["fold"] != number])
        members.append(DetectorBundle(**own, model=model, detector=detector))
    equal = (1 / len(members),) * len(members)
    return EnsembleBundle(**common, members=tuple(members), combiner=Mean(equal, "logit"))
