"""Dealing groups of images out to parts: train, val and test, or the folds of cross-validation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfd.data.manifest import LABELS, SPLITS
from dfd.errors import UserError


def assign_splits(
    table: pd.DataFrame, fractions: Sequence[float], seed: int, kinds: Sequence[str] = LABELS
) -> pd.Series:
    """'train', 'val' or 'test' for each row of a table with the columns `group`, `label` and `source`.

    No group is in two splits; each label and each source has close to the same shares in all of them.
    Raises UserError for fractions that are not shares of 1, and if a split ends up without one of `kinds`: real and
    fake, or real alone.
    """
    check_fractions("data.fractions", fractions)
    parts = deal(table, fractions, seed)
    wanted = {SPLITS[part]: part for part in range(3) if fractions[part]}
    check_labels(table["label"].to_numpy(), parts, wanted, kinds)
    return pd.Series(np.array(SPLITS, dtype=object)[parts], index=table.index)


def assign_folds(table: pd.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    """Fold 0..folds-1 of each row of a table as in `assign_splits`; no group is in two folds."""
    if folds < 2:
        raise UserError(f"cv.folds={folds} leaves nothing to train on; accepted is 0 (no folds) or 2 to 100")
    parts = deal(table, [1 / folds] * folds, seed)
    check_labels(table["label"].to_numpy(), parts, {f"fold {number}": number for number in range(folds)})
    return parts


def deal(table: pd.DataFrame, fractions: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Number of the part for each row; see `assign_splits`. Depends on the groups' names, not on the rows' order.

    Groups are dealt out one by one, large ones first and in a random order among equals, each to the part that
    lacks most of what the group holds. What is lacking is counted as a share of the source (within a label), of
    the label and of all, so that a small source is spread first and the totals decide what it leaves open.
    """
    names, group = np.unique(table["group"].to_numpy(), return_inverse=True)
    sources = pd.factorize(pd.MultiIndex.from_frame(table[["label", "source"]]), sort=True)[0]
    labels = pd.factorize(table["label"], sort=True)[0]
    columns = np.stack([sources, labels + sources.max() + 1, np.full(len(table), sources.max() + labels.max() + 2)], 1)
    sizes = np.bincount(columns.ravel()).astype(float)  # rows of each source, of each label and of all

    lacking = np.outer(np.asarray(fractions, float), np.ones(len(sizes)))  # share of each that a part still wants
    lacking[np.asarray(fractions) == 0] = -np.inf
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    shuffled = np.random.default_rng(seed).permutation(len(names))
    part_of = np.empty(len(names), np.int64)
    for number in sorted(shuffled, key=lambda number: -len(members[number])):
        column, count = np.unique(columns[members[number]], return_counts=True)
        part = part_of[number] = int(np.argmax(lacking[:, column] @ count))
        lacking[part, column] -= count / sizes[column]
    return part_of[group]


def last_split(table: pd.DataFrame) -> pd.Series:
    """For each row of a table with `split` and `group` the number of the last split that its group is in."""
    order = pd.Series(pd.Categorical(table["split"], SPLITS).codes, index=table.index)
    return order.groupby(table["group"]).transform("max")


def earlier_rows(table: pd.DataFrame) -> pd.Series:
    """Rows whose group is also in a later split. Left out, training has seen nothing of test, nor test changed."""
    return pd.Series(pd.Categorical(table["split"], SPLITS).codes, index=table.index) < last_split(table)


def check_fractions(name: str, fractions: Sequence[float]) -> None:
    """Raise UserError unless these are three shares of 1; `name` is the setting."""
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or not np.isclose(sum(fractions), 1, atol=1e-6):
        raise UserError(f"{name}={list(fractions)} is not three shares (train, val, test) that add up to 1")


def check_labels(
    labels: NDArray[np.int64], parts: NDArray[np.int64], wanted: dict[str, int], kinds: Sequence[str] = LABELS
) -> None:
    """Raise UserError if a wanted part (name: number) holds none of one of `kinds`: real, or real and fake."""
    for name, part in wanted.items():
        for label, word in enumerate(kinds):
            if not np.any(labels[parts == part] == label):
                raise UserError(
                    f"too few images: {name} would hold no {word} ones. There are {np.sum(labels == label):,} in all, "
                    "and duplicates stay together"
                )
