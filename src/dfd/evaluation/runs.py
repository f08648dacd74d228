"""Finished runs on the disk: which there are below some folders, and what each of them measured.

A result is a pair of files, figures and predictions, in one folder: `metrics.json` and `predictions.parquet`; a
cross-validated run has a second pair, `oof_metrics.json` and `oof_predictions.parquet`, of its out-of-fold rows.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfd import sealed
from dfd.errors import UserError
from dfd.evaluation import figures
from dfd.evaluation.figures import Floats, Ints

INSIDE = ("bundle", "checkpoint")  # parts of a run, with no runs in them
METRICS, PREDICTIONS = "metrics.json", "predictions.parquet"
OOF = "oof"  # in place of a split's name: every row scored by a model that has not seen it
OOF_PREFIX = "oof_"  # of the files of a second result, beside those of the test split
OOF_FEATURES = "oof_features.npy"
PREFIXES = ("", OOF_PREFIX)
OF_IMAGES = "fid"  # `kind` in the metrics.json of distances between images
NEEDED = ("data", "fingerprint", "split", "bundle", "threshold", "overall", "by_source", "n")
COLUMNS = ("path", "label", "group", "sha256", "logit", "prob", "threshold", "error")
OPTIONAL = ("sha256", "threshold")
SHOWN = ("auroc", "balanced_accuracy", "recall", "specificity", "brier", "ece")  # have to be in a result
AGREE = 1e-6  # an AUROC computed again from the table may differ by this much


@dataclass(frozen=True)
class Result:
    """What one detector got on one split of one data set.

    `table` has the measured rows alone (readable, of known class), with the columns path, label, group, logit, prob,
    called_fake, and sha256 where there is one. `trained_on` is name and fingerprint of the data that the bundle was
    trained on, None if no run tells. `same` are folders with this very result once more.
    """

    folder: Path
    metrics: dict[str, Any]
    table: pd.DataFrame
    trained_on: tuple[str, str] | None
    same: tuple[Path, ...] = ()

    @property
    def measured_on(self) -> tuple[str, str, str]:
        """Data set, fingerprint and split: results are compared within one of these."""
        return self.metrics["data"], self.metrics["fingerprint"], self.metrics["split"]

    @property
    def bundle(self) -> str:
        """The content of the bundle, or the folder where it is not known."""
        return self.metrics.get("weights_sha256") or str(self.folder)

    @property
    def graph(self) -> str:
        """Such as 'openvino int8' where an exported graph gave the answers, empty where PyTorch did."""
        backend, _, precision, *_ = [*str(self.metrics.get("device", "")).split(", "), "", ""]
        return "" if backend in ("", "torch") else f"{backend} {precision}".strip()

    @property
    def detector(self) -> str:
        """What tells detectors apart: the bundle, and the graph if it was asked through one."""
        return f"{self.bundle} {self.graph}".strip()


@dataclass(frozen=True)
class Found:
    """The results below some folders, in the order of their folders, and the runs that could not be read: why."""

    results: list[Result] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)


def find_runs(inputs: Sequence[Path]) -> list[Path]:
    """Folders at or below `inputs` that hold a result, sorted, each once. Raises UserError if an input is missing."""
    found: dict[Path, Path] = {}
    for top in inputs:
        if not top.is_dir():
            raise UserError(f"{top} is no folder; accepted are run folders, and folders with runs in them")
        for folder, below, names in os.walk(top):
            below[:] = sorted(name for name in below if name not in INSIDE and not name.startswith("."))
            if METRICS in names:  # written last of all: without it the run is not finished
                found.setdefault(Path(folder).resolve(), Path(folder))
    return sorted(found.values())


def is_of_images(file: Path) -> bool:
    """True for what `dfd eval fid=…` wrote: no detector was measured, so there is nothing to compare."""
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(metrics, dict) and metrics.get("kind") == OF_IMAGES


def read_runs(folders: Sequence[Path]) -> Found:
    """Read the results in these folders; one that is damaged is named and left out.

    A bundle that was measured twice on the same rows in the same way counts once, as its newest result.
    """
    results: dict[Any, Result] = {}
    damaged: dict[Path, str] = {}
    for folder in folders:
        for prefix in PREFIXES:
            file = folder / f"{prefix}{METRICS}"
            if not file.is_file() or is_of_images(file):
                continue
            try:
                result = _read(folder, prefix)
            except _Damaged as error:
                damaged[file] = str(error)
                continue
            same = (result.measured_on, result.detector, result.metrics["threshold"], len(result.table))
            results[same] = _newer(results.get(same), result)
    told = {result.bundle: result.trained_on for result in results.values() if result.trained_on}
    complete = [replace(result, trained_on=told.get(result.bundle)) for result in results.values()]
    return Found(sorted(complete, key=lambda result: (result.measured_on, str(result.folder))), damaged)


class _Damaged(Exception):
    """What is wrong with a result."""


def _newer(known: Result | None, found: Result) -> Result:
    if known is None:
        return found
    old, new = sorted((known, found), key=lambda result: (result.folder / METRICS).stat().st_mtime_ns)
    return replace(new, trained_on=new.trained_on or old.trained_on, same=(*old.same, old.folder, *new.same))


def _read(folder: Path, prefix: str) -> Result:
    metrics = _read_metrics(folder / f"{prefix}{METRICS}")
    table = _read_table(folder / f"{prefix}{PREDICTIONS}", metrics["threshold"])
    if len(table) != metrics["n"] or not _same_auroc(table, metrics):
        raise _Damaged(f"{prefix}{PREDICTIONS} does not belong to it: its figures are others")
    return Result(folder, metrics, table, _trained_on(folder, metrics))


def _read_metrics(file: Path) -> dict[str, Any]:
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no text
        raise _Damaged(f"it can't be read: {str(error).splitlines()[0]}") from None
    if not isinstance(metrics, dict):
        raise _Damaged("it holds no figures")
    missing = [key for key in NEEDED if key not in metrics]
    if missing:
        raise _Damaged(f"it has no {missing[0]!r}")
    if not _is_complete(metrics):
        raise _Damaged("its figures are incomplete")
    return metrics


def _is_complete(metrics: dict[str, Any]) -> bool:
    overall, by_source = metrics["overall"], metrics["by_source"]
    if not isinstance(overall, dict) or not isinstance(by_source, dict) or not isinstance(metrics["threshold"], float):
        return False
    if not all(isinstance(metrics[key], str) for key in ("data", "fingerprint", "split", "bundle")):
        return False
    sources = [part if isinstance(part, dict) else {} for part in by_source.values()]
    told = [part.get("metrics", {}).get("accuracy") for part in sources if {"label", "n"} <= part.keys()]
    return len(told) == len(sources) and all(map(_is_figure, [*told, *(overall.get(key) for key in SHOWN)]))


def _is_figure(figure: Any) -> bool:
    if not isinstance(figure, dict) or not {"value", "low", "high", "n"} <= figure.keys():
        return False
    ends = [figure[key] for key in ("value", "low", "high")]
    return all(end is None for end in ends) or all(isinstance(end, int | float) for end in ends)


def _read_table(file: Path, threshold: float) -> pd.DataFrame:
    if not file.is_file():
        raise _Damaged(f"{file.name} is missing")
    try:
        table = pd.read_parquet(file)
        missing = [name for name in COLUMNS if name not in table and name not in OPTIONAL]
        if missing:
            raise _Damaged(f"{file.name} has no column {missing[0]!r}")
        table = table[[name for name in COLUMNS if name in table]]
        table = table[table["error"].isna() & (table["label"] != -1)].reset_index(drop=True)
        table = table.assign(called_fake=table["prob"] >= table.get("threshold", threshold))
        numbers = table[["logit", "prob", "label"]].to_numpy(np.float64)
    except _Damaged:
        raise
    except Exception as error:  # pyarrow's own kinds, and more, by what is wrong with the file
        raise _Damaged(f"{file.name} can't be read: {(str(error) or type(error).__name__).splitlines()[0]}") from None
    if not np.isfinite(numbers).all() or not np.isin(numbers[:, 2], (0, 1)).all() or table["group"].isna().any():
        raise _Damaged(f"{file.name} has rows without an error that lack a score, a class or a group")
    return table


def _same_auroc(table: pd.DataFrame, metrics: dict[str, Any]) -> bool:
    told = metrics["overall"]["auroc"]["value"]
    return told is None or abs(auroc_of(table) - told) <= AGREE


def auroc_of(table: pd.DataFrame) -> float:
    """AUROC of the rows of a `Result.table`; NaN without both classes."""
    label: Ints = table["label"].to_numpy(np.int64)
    score: Floats = table["logit"].to_numpy(np.float64)
    return float(figures.auroc(figures.curve(label, figures.order(score), np.ones((1, len(label)))))[0])


def _trained_on(folder: Path, metrics: dict[str, Any]) -> tuple[str, str] | None:
    told = metrics.get("trained_on")
    try:
        if told is None:
            told = sealed.settings_of((folder / "bundle" / "bundle.yaml").read_text(encoding="utf-8"))["data"]
        return str(told["name"]), str(told["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
