"""From nuisances to figures: what each set of them tells of the label, out-of-fold, and which of it is no chance."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dfd.audit.families import Family
from dfd.audit.fitting import combined, out_of_fold
from dfd.audit.telling import telling
from dfd.evaluation.conditional import conditional_auroc, figure, resampled_auroc, smaller_class_groups
from dfd.evaluation.figures import Floats, Ints
from dfd.evaluation.paired import difference, holm

PRIMARY = "primary"
REFERENCE = "reference"  # level of a set that is shown for comparison
CHANCE = 0.05  # a set is a finding if chance would do as well in at most this share of clean data sets (Holm)
# The fits of a cross-validation share most of their rows, so what is in the data by chance helps in all folds or harms
# in all. A bootstrap of finished scores does not see that. For a linear score of clean data the true variance is up to
# twice the bootstrap's, whatever the number of rows; see docs/results/audit.md for a simulation.
REFITTED = 2.0
WARNING, SEVERE = 0.6, 0.75  # AUROC from which on a finding is called so


@dataclass(frozen=True)
class Rows:
    """The readable rows of a manifest and how they are cut and resampled; arrays are [n]."""

    table: pd.DataFrame
    fold: Ints
    strata: int
    resamples: int
    seed: int

    @property
    def label(self) -> Ints:
        """1 = fake."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def group(self) -> NDArray[Any]:
        """Rows of one group are drawn together."""
        return self.table["group"].to_numpy()


def measure_sets(
    families: Sequence[Family], rows: Rows, references: Collection[str] = ()
) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    """Figures of each set of nuisances, and out-of-fold scores: one column a set, in the order of `rows`.

    A set has `about`, `features` (their number), `auroc`, `p` (Holm's, one-sided), `level` and what is `telling`. Sets
    named in `references` may hold traces of forgery, so a high AUROC of theirs is no finding.
    AUROC is among images of one fold, for models of two folds need not agree on a scale.
    """
    found: dict[str, dict[str, Any]] = {}
    scores: dict[str, Floats] = {}
    chances: dict[str, float] = {}
    # One thread: fits this small lose far more to threads that wait for each other than they gain.
    with threadpool_limits(1):
        for family in tqdm(families, desc="fitting classifiers", unit=" sets", disable=None, leave=False):
            named = bool(family.columns)
            trees = named or family.inputs.shape[1] == 0
            scores[family.name] = out_of_fold(family.inputs, rows.table, rows.fold, rows.seed, trees)
            auroc, chances[family.name] = cross_validated(scores[family.name], rows)
            found[family.name] = {
                "about": family.about,
                "features": family.inputs.shape[1],
                "auroc": auroc,
                "telling": telling(family, rows.label) if named and family.name != "all" else [],
            }
    tested = [name for name in found if name not in references]
    adjusted = dict(zip(tested, holm([chances[name] for name in tested]), strict=True))
    for name, each in found.items():
        p = adjusted.get(name, chances[name])
        each |= {"p": p, "level": level_of(each["auroc"]["value"], p) if name in adjusted else REFERENCE}
    return found, pd.DataFrame(scores)


def cross_validated(score: Floats, rows: Rows) -> tuple[dict[str, Any], float]:
    """AUROC of an out-of-fold score among images of one fold, and the chance of one as high on clean data."""
    value, drawn = resampled_auroc(rows.label, score, rows.fold, rows.group, rows.resamples, rows.seed)
    drawn = value + (drawn - value) * np.sqrt(REFITTED)
    two_sided = difference(value - 0.5, float(drawn.std()), smaller_class_groups(rows.label, rows.group), "").p
    return figure(rows.label, rows.group, value, drawn), two_sided / 2 if value > 0.5 else 1 - two_sided / 2


def plain(score: Floats, rows: Rows) -> dict[str, Any]:
    """AUROC of a score that was not fitted on any of the rows."""
    together = np.zeros(len(score), dtype=np.int64)
    value, drawn = resampled_auroc(rows.label, score, together, rows.group, rows.resamples, rows.seed)
    return figure(rows.label, rows.group, value, drawn)


def level_of(auroc: float, p: float) -> str:
    """How serious it is: 'clean', 'slight', 'warning' or 'severe'."""
    if p >= CHANCE or auroc <= 0.5:
        return "clean"
    return "severe" if auroc >= SEVERE else "warning" if auroc >= WARNING else "slight"


def add_primary(scores: pd.DataFrame, parts: list[str], rows: Rows) -> dict[str, Any]:
    """Put the one score that results are to be conditioned on into `scores`: the parts combined. Returns its figure."""
    with threadpool_limits(1):
        columns = [scores[name].to_numpy() for name in parts]
        scores[PRIMARY] = columns[0] if len(parts) == 1 else combined(columns, rows.table, rows.fold, rows.seed)
    return {"made_of": parts, "auroc": cross_validated(scores[PRIMARY].to_numpy(), rows)[0]}


def given(score: Floats, nuisance: Floats, rows: Rows) -> dict[str, Any]:
    """The conditional AUROC of a score given a nuisance score."""
    return conditional_auroc(rows.label, score, nuisance, rows.group, rows.strata, rows.resamples, rows.seed)
