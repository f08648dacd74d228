"""The cross-data-set matrix: detectors, with the data they were trained on, against the data they were measured on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dfd.evaluation.leaderboard import names_of
from dfd.evaluation.runs import Result

JOINT = "+"  # between the names of data sets that `data.combine` joined
CHOSEN = re.compile(r"(-real|-min\d+)+$")  # what it adds to the name of a set of which it takes some images alone


@dataclass(frozen=True)
class Cell:
    """One detector on one split of one data set.

    `own`: the detector was trained on this data set's other splits, or on those of a part of it. `left_out`: images
    that do not count because it was trained on them. `worst` is the source of the lowest accuracy at the stored
    threshold, with its figures in metrics.json's form; None if there is but one source.
    """

    result: Result
    own: bool
    left_out: int
    worst: tuple[str, dict[str, Any]] | None


@dataclass(frozen=True)
class Line:
    """One detector; `cells` are in the order of the matrix's columns, None where it was not measured."""

    name: str
    trained_on: tuple[str, str] | None
    cells: list[Cell | None]


@dataclass(frozen=True)
class Matrix:
    """`columns` are data set, fingerprint and split."""

    columns: list[tuple[str, str, str]]
    lines: list[Line]


def cross_matrix(results: Sequence[Result]) -> Matrix | None:
    """Detectors that were measured on more than one data set; None if there is no such detector."""
    names = names_of(results)
    kept = [each for each in names if len({r.measured_on[:2] for r in results if r.detector == each}) > 1]
    if not kept:
        return None
    cells = {(r.detector, r.measured_on): _cell(r) for r in results if r.detector in kept}
    columns = sorted({measured_on for _, measured_on in cells})
    lines = []
    for detector in kept:
        own = [cells.get((detector, column)) for column in columns]
        lines.append(Line(names[detector], next(cell.result.trained_on for cell in own if cell), own))
    return Matrix(columns, sorted(lines, key=lambda line: (line.trained_on or ("~", ""), line.name)))


def _cell(result: Result) -> Cell:
    left_out = int(result.metrics.get("left_out") or 0)
    return Cell(result, _is_own(result), left_out, _worst(result.metrics["by_source"]))


def _is_own(result: Result) -> bool:
    """Whether the data sets are the same or share a part, by name: a joined set has a fingerprint that no part has."""
    if result.trained_on is None:
        return False
    name, fingerprint = result.trained_on
    return fingerprint == result.metrics["fingerprint"] or bool(_parts(name) & _parts(result.metrics["data"]))


def _parts(name: str) -> set[str]:
    return {CHOSEN.sub("", part) for part in name.split(JOINT)}


def _worst(sources: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    told = {name: source for name, source in sources.items() if source["metrics"]["accuracy"].get("value") is not None}
    if len(told) < 2:
        return None
    return min(told.items(), key=lambda item: (item[1]["metrics"]["accuracy"]["value"], item[0]))


def as_json(matrix: Matrix) -> dict[str, Any]:
    """The matrix as JSON-able dicts, lists, strings and numbers."""
    columns = [{"data": data, "fingerprint": print_, "split": split} for data, print_, split in matrix.columns]
    lines = [
        {"name": line.name, "trained_on": line.trained_on, "cells": [cell and _cell_json(cell) for cell in line.cells]}
        for line in matrix.lines
    ]
    return {"columns": columns, "rows": lines}


def _cell_json(cell: Cell) -> dict[str, Any]:
    overall = cell.result.metrics["overall"]
    worst = None
    if cell.worst:
        name, source = cell.worst
        worst = {"source": name, "label": source["label"], "n": source["n"]}
        worst |= {key: source["metrics"].get(key) for key in ("accuracy", "auroc")}
    return {
        "run": str(cell.result.folder),
        "n": cell.result.metrics["n"],
        "own_data": cell.own,
        "left_out": cell.left_out,
        "auroc": overall["auroc"],
        "balanced_accuracy": overall["balanced_accuracy"],
        "worst_source": worst,
    }
