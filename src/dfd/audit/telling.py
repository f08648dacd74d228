"""Which nuisances differ between reals and fakes, and how: the names behind an AUROC."""

from typing import Any

import numpy as np

from dfd.audit.families import CONTENT, Family
from dfd.evaluation.figures import Floats, Ints

MOST = 3  # columns a family
LEAST = 0.1  # gap between the classes that is worth a word
USUAL = 0.6  # share of a class that has one value, from which on the value is told and not the quartiles


def telling(family: Family, label: Ints) -> list[dict[str, Any]]:
    """The columns whose distributions differ most between fakes and reals, as JSON-able dicts, largest gap first.

    Each has `column`, `gap` (see `separation`), `fakes`, `reals` and `kind`: what the last two are. 'share': of images
    that have the trait. 'value': the most frequent value and its share, [value, share]. 'quartiles': [25%, 50%, 75%].
    """
    gaps = np.array([separation(column, label) for column in family.values.T])
    found: list[dict[str, Any]] = []
    shapes: list[Floats] = []
    for place in sorted(range(len(gaps)), key=lambda place: _rank(family, gaps, place)):
        column = family.values[:, place]
        if gaps[place] < LEAST or len(found) == (1 if family.name in CONTENT else MOST):
            break
        shape = _shape(column)
        if not any(np.array_equal(shape, other) for other in shapes):  # all steps of a table say the same
            shapes.append(shape)
            about = {"column": family.columns[place], "gap": round(float(gaps[place]), 4)}
            found.append(about | _difference(column, label, bool(family.is_trait[place])))
    return found


def separation(values: Floats, label: Ints) -> float:
    """The largest gap between the distribution functions of fakes and reals (Kolmogorov and Smirnov), 0..1."""
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=np.inf))
    fakes = np.cumsum(label[order])[ends] / max(1, label.sum())
    reals = np.cumsum(1 - label[order])[ends] / max(1, (1 - label).sum())
    return float(np.abs(fakes - reals).max())


def _rank(family: Family, gaps: Floats, place: int) -> tuple[float, int, int]:
    """Largest gap first. Among equals the trait that says most ('Software = GIMP'), or the first number."""
    words = len(family.columns[place]) if family.is_trait[place] else 0
    return (-round(float(gaps[place]), 3), -words, place)


def _shape(column: Floats) -> Floats:
    """The column but for offset, scale and sign: equal for columns that tell the same."""
    scaled = (column - column.min()) / np.ptp(column)
    return np.round(scaled if scaled[0] <= 0.5 else 1 - scaled, 9)


def _difference(column: Floats, label: Ints, is_trait: bool) -> dict[str, Any]:
    parts = {"fakes": column[label == 1], "reals": column[label == 0]}
    if is_trait:
        return {"kind": "share", **{name: float(part.mean()) for name, part in parts.items()}}
    usual = {name: _most_frequent(part) for name, part in parts.items()}
    if usual["fakes"][0] != usual["reals"][0] and min(share for _, share in usual.values()) >= USUAL:
        return {"kind": "value", **usual}
    quartiles = {name: np.quantile(part, [0.25, 0.5, 0.75]).tolist() for name, part in parts.items()}
    return {"kind": "quartiles", **quartiles}


def _most_frequent(values: Floats) -> list[float]:
    """The most frequent value and its share."""
    found, counts = np.unique(values, return_counts=True)
    return [float(found[counts.argmax()]), float(counts.max() / len(values))]
