"""Who is best on which data, and which differences are real.

Results are compared within one data set, fingerprint and split, each with the one of highest AUROC, on the images that
both have scored. The p-values of one leaderboard are Holm's: the chance of one false 'worse' among all is below 5%.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfd.evaluation import paired
from dfd.evaluation.figures import Ints
from dfd.evaluation.paired import Difference, Paired, Scored, compare, holm
from dfd.evaluation.runs import SHOWN, Result

SIGNIFICANT = 0.05
BEST, ALONE, SAME = "best", "the only one", "no real difference from the best"
WORSE, BETTER, UNKNOWN = "worse", "better on the shared images", "can't be compared"


@dataclass(frozen=True)
class Against:
    """A result less the best one, on the images that both have scored; p-values with Holm's correction.

    `p_accuracy` is McNemar's where images are independent, and otherwise of the bootstrap of groups.
    """

    paired: Paired
    only_here: int
    only_best: int
    p_auroc: float
    p_accuracy: float

    @property
    def auroc(self) -> Difference:
        """What decides on the mark."""
        return self.paired.differences["auroc"]


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard. `against` is None for the best, and where `note` says why."""

    name: str
    result: Result
    mark: str
    against: Against | None = None
    note: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """The results on one data set, fingerprint and split, best first."""

    data: str
    fingerprint: str
    split: str
    rows: list[Row]

    @property
    def independent(self) -> bool:
        """Whether every image is a group of its own, wherever two were compared."""
        return all(row.against.paired.independent for row in self.rows if row.against)


def leaderboards(results: Sequence[Result], resamples: int, seed: int) -> list[Leaderboard]:
    """One leaderboard for each data set, fingerprint and split, in the order of their names."""
    names = names_of(results)
    boards = []
    for measured_on in sorted({result.measured_on for result in results}):
        rows = [result for result in results if result.measured_on == measured_on]
        boards.append(Leaderboard(*measured_on, _rows(rows, names, resamples, seed)))
    return boards


def names_of(results: Sequence[Result]) -> dict[str, str]:
    """A name for each `Result.detector`: its bundle's, with the graph if it was asked through one, and with the folder
    of its first result where others share it.
    """
    first: dict[str, Result] = {}
    for result in sorted(results, key=lambda result: min(result.folder.name, *(f.name for f in result.same), "~")):
        first.setdefault(result.detector, result)
    names = {detector: ", ".join(filter(None, (r.metrics["bundle"], r.graph))) for detector, r in first.items()}
    told = list(names.values())
    return {
        detector: name if told.count(name) == 1 else f"{name} ({first[detector].folder.name})"
        for detector, name in names.items()
    }


def _rows(results: list[Result], names: dict[str, str], resamples: int, seed: int) -> list[Row]:
    ordered = sorted(results, key=_rank)
    best, others = ordered[0], ordered[1:]
    if best.metrics["overall"]["auroc"]["value"] is None:
        reason = f"no AUROC: {best.metrics['overall']['auroc'].get('reason', 'unknown')}"
        return [Row(names[each.detector], each, UNKNOWN, note=reason) for each in ordered]
    rows = [Row(names[best.detector], best, BEST if others else ALONE)]
    found = [pair(each, best, resamples, seed) for each in others]
    pairs = [each for each in found if not isinstance(each, str)]
    ranking = iter(holm([each[0].differences["auroc"].p for each in pairs]))
    accuracy = iter(holm([_p_accuracy(each[0]) for each in pairs]))
    for result, each in zip(others, found, strict=True):
        name = names[result.detector]
        if isinstance(each, str):
            rows.append(Row(name, result, UNKNOWN, note=each))
        else:
            against = Against(*each, next(ranking), next(accuracy))
            rows.append(Row(name, result, _mark(against), against, _note(against)))
    return rows


def _rank(result: Result) -> tuple[float, str]:
    value = result.metrics["overall"]["auroc"]["value"]
    return (np.inf if value is None else -value, str(result.folder))


def pair(one: Result, best: Result, resamples: int, seed: int) -> tuple[Paired, int, int] | str:
    """`one` less `best` on the rows of both, how many rows either has alone; or why that can't be told."""
    shared = shared_rows(one.table, best.table)
    if shared is None:
        return "its images can't be matched with those of the best: neither sha256 nor path names each once"
    here, there = one.table.iloc[shared[0]], best.table.iloc[shared[1]]
    label = there["label"].to_numpy(np.int64)
    if (here["label"].to_numpy() != label).any():
        return "the same images have another class here than for the best"
    if len(set(label.tolist())) < 2:
        return f"{len(label)} images in common with the best, not of both classes"
    group = there["group"].to_numpy()
    found = compare(label, group, _scored(here), _scored(there), resamples, seed)
    return found, len(one.table) - len(label), len(best.table) - len(label)


def shared_rows(one: pd.DataFrame, other: pd.DataFrame) -> tuple[Ints, Ints] | None:
    """Row numbers [n] of the images that both tables hold, matched by sha256 or, failing that, by path."""
    for key in ("sha256", "path"):
        if key in one and key in other and all(_names_rows(table[key]) for table in (one, other)):
            places = pd.Index(one[key]).get_indexer(pd.Index(other[key]))
            return places[places >= 0], np.flatnonzero(places >= 0)
    return None


def _names_rows(names: pd.Series) -> bool:
    return bool(names.notna().all() and names.is_unique)


def _scored(rows: pd.DataFrame) -> Scored:
    logit, prob = rows["logit"].to_numpy(np.float64), rows["prob"].to_numpy(np.float64)
    return Scored(logit, prob, rows["called_fake"].to_numpy(bool))


def _p_accuracy(found: Paired) -> float:
    return found.mcnemar.p if found.independent else found.differences["accuracy"].p


def _mark(against: Against) -> str:
    if against.p_auroc >= SIGNIFICANT:
        return SAME
    return WORSE if against.auroc.value < 0 else BETTER


def _note(against: Against) -> str:
    if not against.only_here and not against.only_best:
        return ""
    return (
        f"compared on the {against.paired.n} images that both have scored; "
        f"{against.only_here} only this one, {against.only_best} only the best"
    )


def as_json(board: Leaderboard) -> dict[str, Any]:
    """A leaderboard as JSON-able dicts, lists, strings and numbers; an infinite standard error becomes null."""
    rows = []
    for row in board.rows:
        metrics = row.result.metrics
        rows.append(
            {
                "name": row.name,
                "mark": row.mark,
                "note": row.note,
                "run": str(row.result.folder),
                "same_result_in": [str(folder) for folder in row.result.same],
                "detector": row.result.detector,
                "trained_on": row.result.trained_on,
                "n": metrics["n"],
                "threshold": metrics["threshold"],
                "figures": {key: metrics["overall"][key] for key in SHOWN},
                "against_best": None if row.against is None else _against_json(row.against),
            }
        )
    return {"data": board.data, "fingerprint": board.fingerprint, "split": board.split, "rows": rows}


def _against_json(against: Against) -> dict[str, Any]:
    holms = {"p_auroc_holm": against.p_auroc, "p_accuracy_holm": against.p_accuracy}
    return {**paired.as_json(against.paired), "only_here": against.only_here, "only_best": against.only_best, **holms}
