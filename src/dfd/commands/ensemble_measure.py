"""What an ensemble is worth: measured on rows that its fit has not seen, beside its best member."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dfd.commands.against import against, published, scored
from dfd.commands.ensemble_rows import Rows, cached
from dfd.commands.members import Member
from dfd.commands.results import exit_code, publish
from dfd.config import CalibrationConfig, EnsembleConfig
from dfd.data.manifest import Manifest
from dfd.ensemble.combiners import Combiner
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration, cross_calibrate
from dfd.evaluation.runs import OOF, OOF_PREFIX, Result
from dfd.inference.engine import TorchEngine, combine
from dfd.inference.predictions import IDENTIFYING, predictions_of
from dfd.models.bundle import EnsembleBundle
from dfd.runtime import Runtime


def measure(
    config: EnsembleConfig,
    bundle: EnsembleBundle,
    members: Sequence[Member],
    among: int,
    rows: Rows,
    scores: NDArray[np.float64],
    manifest: Manifest,
    runtime: Runtime,
    out: Path,
) -> int:
    """Out-of-fold rows by the fit on the other folds; the test split, where there is one, by the bundle."""
    best = _best(members, rows)
    engine = TorchEngine(bundle, runtime)
    more: dict[str, Any] = {
        "members": [str(member.run) for member in members],
        "chosen_among": among,
        "combiner": bundle.combiner.describe(),
    }
    has_test = bool((manifest.table["split"] == "test").any())
    code = 0
    if members[0].folds:
        table = _oof_table(rows, scores, bundle.combiner, config)
        found = against(table, bundle.calibration.threshold, best, published(best, OOF), config.evaluation)
        prefix = OOF_PREFIX if has_test else None
        publish(table, engine, manifest, OOF, config.evaluation, runtime, out, prefix=prefix, more=more | found)
    if has_test:
        test = manifest.rows("test")
        parts, errors = cached(bundle, test, manifest, config, runtime)
        table = predictions_of(test, combine(bundle, parts), errors, bundle.calibration)
        alone = _scored_here(best, test, manifest, config, runtime) if config.data else published(best, "test")
        found = against(table, bundle.calibration.threshold, best, alone, config.evaluation)
        publish(table, engine, manifest, "test", config.evaluation, runtime, out, more=more | found)
        code = exit_code(table)
    print(f"bundle       {out / 'bundle'}")
    return code


def calibrating(config: EnsembleConfig) -> CalibrationConfig:
    """How the ensemble's scores are calibrated. Isotonic regression is level in places: where that is about a tie, it
    would put rows that a majority calls real at its threshold.

    Raises UserError if it was asked for.
    """
    asked = config.calibration
    if config.strategy.kind != "majority":
        return asked
    if asked.method == "isotonic":
        raise UserError(
            "calibration.method=isotonic can't tell a narrow majority from a tie; accepted with strategy=majority are "
            "auto, platt and temperature"
        )
    return replace(asked, method="platt") if asked.method == "auto" else asked


def settled(combiner: Combiner, calibration: Calibration) -> Calibration:
    """A majority is a majority: its threshold is not moved to where it would do better."""
    if combiner.kind != "majority":
        return calibration
    threshold = float(calibration.prob(0.0))
    low, high = min(calibration.unsure_low, threshold), max(calibration.unsure_high, threshold)
    return replace(calibration, threshold=threshold, unsure_low=low, unsure_high=high)


def _best(members: Sequence[Member], rows: Rows) -> Member:
    """The member of highest AUROC where the ensemble was fitted: the choice that one would have made without test."""
    aurocs = [roc_auc_score(rows.label, column) for column in rows.logits.T]
    return members[int(np.argmax(aurocs))]


def _scored_here(
    member: Member, rows: pd.DataFrame, manifest: Manifest, config: EnsembleConfig, runtime: Runtime
) -> Result:
    """A member on images that its run was not measured on."""
    parts, errors = cached(member.bundle, rows, manifest, config, runtime)
    return scored(member, predictions_of(rows, combine(member.bundle, parts), errors, member.bundle.calibration))


def _oof_table(rows: Rows, scores: NDArray[np.float64], combiner: Combiner, config: EnsembleConfig) -> pd.DataFrame:
    settle = partial(settled, combiner)
    found = cross_calibrate(scores, rows.label, rows.group, rows.fold, calibrating(config), settle)
    table = rows.table[[name for name in IDENTIFYING if name in rows.table]]
    return table.assign(
        fold=rows.fold,
        logit=scores,
        prob=found.prob,
        threshold=found.threshold,
        verdict=found.verdict,
        error=pd.Series(None, table.index, "object"),
    )
