"""The figures of a faithfulness table: means with intervals, and differences from the floors on the same images.

Whole groups of images are drawn for the intervals (see `dfd.evaluation.intervals`), and each resample draws the same
groups for a method and its floor. Shares such as hit rates get score intervals, all else percentiles. Where resamples
cannot tell how much chance there is, a figure has its value without an interval: nothing is to follow from it.
"""

from typing import Any

import numpy as np
import pandas as pd

from dfd.config import EvaluationConfig
from dfd.evaluation import intervals
from dfd.evaluation.figures import Floats
from dfd.explain.deletion import STEPS
from dfd.explain.faithfulness import NOISE, SMOOTH
from dfd.explain.randomisation import PARTS

Figure = dict[str, Any]
AUCS = ("deletion", "insertion")
CURVES = tuple(f"{name}_curve" for name in AUCS)
AGAINST = (SMOOTH, NOISE)
POINTING_AGAINST = ("area", SMOOTH, "middle")
FEWEST = 2  # images; one has no spread
FEWEST_GROUPS = 5  # of a class; of fewer, resamples repeat the same few images and their intervals are far too short
AGREE = 1e-12  # resamples that differ by less are all the same


def summarise(table: pd.DataFrame, methods: list[str], settings: EvaluationConfig) -> dict[str, Any]:
    """Figures {"value", "low", "high", "n", "method"} of a table with a row for each image and method or floor.

    `methods` names those to compare with the floors. A figure without an interval has `low` and `high` None and a
    `reason`; an unknown one has `value` None as well.
    """
    everything, table = table, table[table["deletion"].notna()]  # the other rows are for pointing alone
    images = _rows(table, str(table["method"].iloc[0]))
    blurred = np.array([curve[-1] for curve in images["deletion_curve"]])
    return {
        "n": len(images),
        "n_fake": int((images["label"] == 1).sum()),
        "n_called_fake": int(images["called_fake"].sum()),
        "n_groups": _groups(images),
        "answer": _mean(images, _of_answer(images), settings),
        "answer_blurred": _mean(images, blurred, settings),
        "methods": {name: _of_method(table, name, settings) for name in methods},
        "floors": {name: _aucs(table, name, settings) for name in AGAINST},
        "curves": {
            name: {curve: np.stack(rows[curve].to_list()).mean(axis=0).tolist() for curve in CURVES}
            for name, rows in table.groupby("method", sort=False)
        },
        "steps": STEPS,
        "pointing": _pointing(everything, methods, settings),
        "interval": {"level": intervals.LEVEL, "resamples": settings.resamples, "seed": settings.seed},
    }


def _of_answer(images: pd.DataFrame) -> Floats:
    prob = images["prob"].to_numpy(np.float64)
    return np.where(images["called_fake"], prob, 1 - prob)


def _of_method(table: pd.DataFrame, name: str, settings: EvaluationConfig) -> dict[str, Any]:
    rows = _rows(table, name)
    return {
        **_aucs(table, name, settings),
        "against": {
            floor: {auc: _difference(rows, rows[auc], _rows(table, floor)[auc], settings) for auc in AUCS}
            for floor in AGAINST
        },
        "alike": {part: _mean(rows, rows[f"alike_{part}"].to_numpy(np.float64), settings) for part in PARTS},
    }


def _aucs(table: pd.DataFrame, name: str, settings: EvaluationConfig) -> dict[str, Figure]:
    rows = _rows(table, name)
    return {auc: _mean(rows, rows[auc].to_numpy(np.float64), settings) for auc in AUCS}


def _pointing(table: pd.DataFrame, methods: list[str], settings: EvaluationConfig) -> dict[str, Any] | None:
    """Hit rates by method and floor, of all fakes whose altered parts are known, and of those called fake."""
    known = table[table["area"].notna()]
    if known.empty:
        return None
    groups = {"all fakes": known, "fakes called fake": known[known["called_fake"]]}
    for source, rows in known.groupby("source"):
        groups[str(source)] = rows
    return {name: _hits(rows, methods, settings) for name, rows in groups.items() if len(rows)}


def _hits(table: pd.DataFrame, methods: list[str], settings: EvaluationConfig) -> dict[str, Any]:
    first = _rows(table, str(table["method"].iloc[0]))
    chance: dict[str, pd.Series] = {
        "area": first["area"],
        SMOOTH: _rows(table, SMOOTH)["pointing"],
        "middle": first["middle"],
    }
    hits = {name: _rows(table, name)["pointing"] for name in methods}
    return {
        "n": len(first),
        "n_groups": _groups(first),
        "chance": {
            name: _mean(first, values.to_numpy(np.float64), settings, share=name != "area")
            for name, values in chance.items()
        },
        "hits": {
            name: _mean(first, values.to_numpy(np.float64), settings, share=True) for name, values in hits.items()
        },
        "against": {
            name: {floor: _difference(first, values, chance[floor], settings) for floor in POINTING_AGAINST}
            for name, values in hits.items()
        },
    }


def _rows(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method].sort_values("path").reset_index(drop=True)


def _groups(rows: pd.DataFrame) -> dict[str, int]:
    """Independent images of each class that there is."""
    kinds = rows["label"].map({0: "real", 1: "fake"}).fillna("real")
    return {str(kind): int(groups) for kind, groups in rows["group"].groupby(kinds).nunique().items()}


def _difference(rows: pd.DataFrame, values: pd.Series, floor: pd.Series, settings: EvaluationConfig) -> Figure:
    return _mean(rows, values.to_numpy(np.float64) - floor.to_numpy(np.float64), settings)


def _mean(rows: pd.DataFrame, values: Floats, settings: EvaluationConfig, share: bool = False) -> Figure:
    """The mean of values [n] over the rows that have one."""
    known = ~np.isnan(values)
    rows, values = rows[known], values[known]
    label, group = rows["label"].to_numpy(), rows["group"].to_numpy()
    n = len(values)
    if n < FEWEST:
        return _without_interval(None, "too few images", n)
    value = float(values.mean())
    if (fewest := min(_groups(rows).values())) < FEWEST_GROUPS:
        return _without_interval(value, f"too few images: {fewest} independent of a class", n)
    weights = intervals.resamples(np.maximum(label, 0), group, settings.resamples, settings.seed)
    drawn = np.concatenate([part @ values / part.sum(axis=1) for part in weights])
    if share:
        found = intervals.score_interval(value, drawn, n, len(np.unique(group)))
        return {"value": value, "low": found.low, "high": found.high, "n": n, "method": found.method}
    if float(np.ptp(drawn)) < AGREE:
        return _without_interval(value, "no interval: all resamples agree", n)
    low, high = (float(end) for end in np.quantile(drawn, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2]))
    return {"value": value, "low": low, "high": high, "n": n, "method": "percentile"}


def _without_interval(value: float | None, reason: str, n: int) -> Figure:
    return {"value": value, "low": None, "high": None, "reason": reason, "n": n}
