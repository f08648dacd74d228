"""Groups of rows that are not independent (duplicates, frames of one video): they are drawn and dealt out whole."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfd.evaluation.figures import Ints


def strata(label: NDArray[Any], group: NDArray[Any]) -> tuple[Ints, list[Ints]]:
    """The number of each row's group [n], and the groups that hold reals only, fakes only, or both.

    Numbers follow the order of the groups' names, so nothing depends on the order of the rows. Empty kinds are left
    out. `label` is 0 or 1, `group` anything that can be sorted.
    """
    members, codes = np.unique(group, return_inverse=True)
    kind = np.zeros(len(members), dtype=np.int64)  # 1: reals only, 2: fakes only, 3: both
    np.bitwise_or.at(kind, codes, np.where(label == 1, 2, 1))
    return codes, [np.flatnonzero(kind == each) for each in np.unique(kind)]


def deal_folds(label: NDArray[Any], group: NDArray[Any], folds: int, seed: int) -> Ints:
    """Fold 0..folds-1 of each row [n]; no group is in two. Each kind of group is shuffled and dealt out in turn."""
    codes, kinds = strata(label, group)
    fold_of = np.empty(sum(len(kind) for kind in kinds), dtype=np.int64)
    generator = np.random.default_rng(seed)
    for kind in kinds:
        fold_of[generator.permutation(kind)] = np.arange(len(kind)) % folds
    return fold_of[codes]
