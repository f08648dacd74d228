"""dfd ensemble: trained runs in, one bundle and its comparison with the best member out. No network is trained."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dfd.commands.data import data_of, prepared
from dfd.commands.ensemble_measure import calibrating, measure, settled
from dfd.commands.ensemble_rows import Rows, out_of_fold, validation
from dfd.commands.members import Member, check_apart, check_unchanged, choose, load_members
from dfd.config import EnsembleConfig
from dfd.data.manifest import Manifest
from dfd.ensemble import storage
from dfd.ensemble.combiners import Combiner, FeatureStack
from dfd.ensemble.crossfit import cross_fit, outputs_of
from dfd.ensemble.strategies import NEEDS_FEATURES, fit, fixed_weights
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration, calibrate
from dfd.evaluation.runs import OOF
from dfd.inference.engine import place
from dfd.inference.score import check_combinable
from dfd.models.bundle import EnsembleBundle, name_of, save, seen_in, versions
from dfd.runtime import Runtime, start


def run(config: EnsembleConfig, out: Path) -> int:
    """Choose the members, fit the strategy, calibrate it, and measure it on rows that none of that has seen."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("dfd ensemble is the work of one process; run it without torchrun")
    _check(config)
    runs, among = choose(config)
    members = load_members(runs, same_data=config.data is None)
    if config.strategy.kind == "weighted" and config.strategy.by == "fixed":
        fixed_weights(config.strategy.weights, len(members))  # before anything is computed
    needs_features = config.strategy.kind in NEEDS_FEATURES
    if needs_features:
        for member in members:
            check_combinable(member.bundle, member.name)
    each = {member.bundle.cpu_bf16 for member in members}
    runtime = start(config.runtime, cpu_bf16=each.pop() if len(each) == 1 else None)
    for member in members:
        place(member.bundle, runtime)
    manifest = _data(config, members, runtime)
    began = time.perf_counter()
    rows = _rows(config, members, manifest, needs_features, runtime)
    own = [member.bundle.calibration for member in members]
    keep = own if config.data or config.augment else None  # not what the members were calibrated on
    scores = cross_fit(
        config.strategy, rows.logits, rows.features, rows.label, rows.group, rows.fold, config.calibration, keep
    )
    outputs = outputs_of(rows.logits, own, rows.features)
    combiner = fit(config.strategy, outputs, rows.label, rows.group)
    if isinstance(combiner, FeatureStack):
        combiner = combiner.over(rows.places)
    calibration = settled(combiner, calibrate(scores, rows.label, rows.group, calibrating(config)))
    seconds = time.perf_counter() - began
    made = _bundle(config, members, manifest, combiner, calibration, rows, scores, seconds, runtime)
    save(made, out / "bundle", [member.folder for member in members])
    # What is measured is what lies on the disk; the members' networks were read from there already.
    made = replace(made, combiner=storage.load(out / "bundle"), sha256=name_of(out / "bundle"))
    _tell(combiner, members, seconds)
    return measure(config, made, members, among, rows, scores, manifest, runtime, out)


def _check(config: EnsembleConfig) -> None:
    """Raise UserError for settings that don't go together."""
    calibrating(config)
    if config.data and not config.members:
        raise UserError("data=... is for members that are named, as in members=[RUN,RUN]")
    augment = config.augment
    if augment and (replace(augment, splices=0.0).is_none() or not augment.val_copies):
        raise UserError(
            f"augment={augment.name} augment.val_copies={augment.val_copies}: an ensemble is fitted to changed copies "
            "of validation; accepted is a choice that changes images, such as augment=strong, and 1 copy or more"
        )


def _data(config: EnsembleConfig, members: list[Member], runtime: Runtime) -> Manifest:
    """What the ensemble is fitted and measured on. Raises UserError, before any work, if it can't be."""
    manifest = prepared(config.data or data_of(members[0].bundle), runtime)
    if config.data:
        check_apart(members, config.data, manifest, runtime)
    else:
        check_unchanged(members[0], manifest)
    if not members[0].folds:
        manifest.rows("test")  # nothing else could be measured
    elif config.augment:
        raise UserError(f"augment={config.augment.name} has no part in a cross-validation; accepted is augment=none")
    return manifest


def _rows(
    config: EnsembleConfig, members: Sequence[Member], manifest: Manifest, needs_features: bool, runtime: Runtime
) -> Rows:
    if members[0].folds:
        rows, kind = out_of_fold(members, needs_features), "out-of-fold"
    else:
        rows, kind = validation(members, manifest, config, runtime), "validation"
    copies = len(rows.table) - rows.unchanged
    also = f" and {copies} changed copies" if copies else ""
    print(f"fitting      {config.strategy.name} on {rows.unchanged} {kind} rows{also}")
    return rows


def _bundle(
    config: EnsembleConfig,
    members: Sequence[Member],
    manifest: Manifest,
    combiner: Combiner,
    calibration: Calibration,
    rows: Rows,
    scores: NDArray[np.float64],
    seconds: float,
    runtime: Runtime,
) -> EnsembleBundle:
    first = members[0].bundle
    data = config.data or data_of(first)
    seen = frozenset().union(*(member.bundle.seen for member in members))
    fitted_on = seen_in(manifest.rows("val")) if config.data else frozenset()
    return EnsembleBundle(
        name=config.name,
        members=tuple(member.bundle for member in members),
        combiner=combiner,
        calibration=calibration,
        max_pixels=min(member.bundle.max_pixels for member in members),
        data=_described(manifest, seen) if config.data else dict(first.data),
        training={
            "weights": config.strategy.name,
            "seconds": round(seconds, 1),
            "device": runtime.describe(),
            "runs": [str(member.run) for member in members],
        },
        metrics={
            "split": OOF if members[0].folds else "val",
            "n": rows.unchanged,
            "auroc": float(roc_auc_score(rows.label[: rows.unchanged], scores[: rows.unchanged])),
        },
        config=yaml.safe_dump({**asdict(config), "data": asdict(data)}, sort_keys=False, allow_unicode=True),
        seen=seen | fitted_on,
        versions=versions(),
    )


def _described(manifest: Manifest, seen: frozenset[str]) -> dict[str, Any]:
    """What `Bundle.data` says of data that are not those of a member; of their training images, how many were used."""
    used = len(seen & seen_in(manifest.rows("train")))
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint,
        "train": used,
        "val": len(manifest.rows("val")),
    }


def _tell(combiner: Combiner, members: Sequence[Member], seconds: float) -> None:
    told = combiner.describe()
    if "weights" in told:
        weights = ", ".join(f"{m.name} {w:.3f}" for m, w in zip(members, told.pop("weights"), strict=True))
        print(f"weights      {weights}")
    if "chosen" in told:
        print(f"chosen       {', '.join(members[number].name for number in told.pop('chosen'))}")
    if told:
        print(f"settings     {', '.join(f'{key} {value}' for key, value in told.items())}")
    print(f"fitted       in {seconds:.1f} s", flush=True)
