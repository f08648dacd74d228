"""What `dfd eval robustness=…` adds: the same images after each change, measured, written down and shown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from dfd.commands.provenance import command_line, measured_on
from dfd.config import EvalConfig, EvaluationConfig, RobustnessConfig
from dfd.data.changes import KINDS, Change, changes_of
from dfd.data.manifest import Manifest
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.evaluation.robustness import measure
from dfd.files import write_text
from dfd.inference.engine import Engine
from dfd.inference.predictions import predictions_of, save_predictions
from dfd.inference.score import score
from dfd.inference.versions import Versions, image_seed, whole_images
from dfd.models.bundle import Bundle
from dfd.report.robustness_page import RobustnessContext, write_robustness_page
from dfd.report.robustness_table import print_robustness
from dfd.runtime import Runtime

FIGURES, TABLE, PAGE = "robustness.json", "robustness.parquet", "robustness.html"
UNCHANGED = "unchanged"


def run(
    engine: Engine, manifest: Manifest, config: EvalConfig, runtime: Runtime, out: Path, predictions: pd.DataFrame
) -> None:
    """Score all versions of the images in `predictions`; write and show what the changes do. All ranks take part.

    Raises UserError if the config names no change.
    """
    assert config.robustness is not None
    changes = checked_changes(config.robustness)
    table = score_versions(engine, manifest, predictions, changes, config.robustness.seed, config.evaluation, runtime)
    if runtime.is_main:
        _publish(engine, manifest, config, runtime, out, table, changes)


def checked_changes(config: RobustnessConfig) -> list[Change]:
    """The changes of a config. Raises UserError if there is none."""
    changes = changes_of(config.changes)
    if not changes:
        raise UserError(
            f"robustness={config.name}: robustness.changes gives no kind of change any strength; "
            f"kinds are {', '.join(KINDS)}, as in robustness.changes.jpeg=[90,50]"
        )
    return changes


def score_versions(
    engine: Engine,
    manifest: Manifest,
    rows: pd.DataFrame,
    changes: list[Change],
    seed: int,
    settings: EvaluationConfig,
    runtime: Runtime,
) -> pd.DataFrame:
    """A predictions table with the columns `kind` and `strength`, an image's versions one below the other.

    The unchanged image comes first; it has the kind 'unchanged' and no strength.
    """
    bundle = engine.bundle
    paths = [manifest.file(path) for path in rows["path"]]
    seeds = [image_seed(sha256) for sha256 in rows["sha256"]]

    def images_for(joint: Joint) -> Versions:
        return Versions(paths, seeds, changes, joint, bundle.max_pixels, seed)

    count = 1 + len(changes)
    batch_size = whole_images(settings.batch_size, count)
    logits, errors = score(engine, images_for, batch_size, runtime, f"images in {count} versions")
    versions = rows.loc[rows.index.repeat(count)].reset_index(drop=True)
    table = predictions_of(versions, logits, errors, bundle.calibration)
    place = len(table.columns) - 4  # before logit, prob, verdict and error
    table.insert(place, "kind", [UNCHANGED, *(change.kind for change in changes)] * len(rows))
    table.insert(place + 1, "strength", [np.nan, *(change.strength for change in changes)] * len(rows))
    return table


def measure_versions(
    table: pd.DataFrame, changes: list[Change], bundle: Bundle, settings: EvaluationConfig
) -> dict[str, object]:
    """`evaluation.robustness.measure` on the table of `score_versions`; images of unknown class are left out."""
    count = 1 + len(changes)
    logit = table["logit"].where(table["error"].isna()).to_numpy(np.float64).reshape(-1, count)
    first = table.iloc[::count]
    known = first["label"].to_numpy() != -1
    figures = measure(
        logit[known],
        first["label"].to_numpy(np.int64)[known],
        first["group"].to_numpy()[known],
        [(change.kind, change.strength) for change in changes],
        bundle.calibration,
        settings,
    )
    unreadable = first["error"].notna()
    return {**figures, "n_unreadable": int(unreadable.sum()), "n_unlabelled": int((~unreadable & ~known).sum())}


def _publish(
    engine: Engine,
    manifest: Manifest,
    config: EvalConfig,
    runtime: Runtime,
    out: Path,
    table: pd.DataFrame,
    changes: list[Change],
) -> None:
    """Write table and page and, last of all, the figures; print the figures and where things are."""
    assert config.robustness is not None
    bundle = engine.bundle
    figures = {
        **measured_on(bundle, manifest, config.split),
        "device": engine.describe(),
        "robustness": config.robustness.name,
        "seed": config.robustness.seed,
        **measure_versions(table, changes, bundle, config.evaluation),
    }
    save_predictions(table, out / TABLE)
    context = RobustnessContext(
        figures=figures,
        changes=changes,
        predictions=table,
        file=manifest.file,
        max_pixels=bundle.max_pixels,
        command=command_line(),
    )
    write_robustness_page(out / PAGE, context)
    write_text(out / FIGURES, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    print_robustness(Console(), figures)
    print(f"robustness   {out / FIGURES}\nversions     {out / TABLE}\npage         {out / PAGE}")
