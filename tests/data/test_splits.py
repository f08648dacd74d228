import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dfd.data.splits import assign_folds, assign_splits, deal
from dfd.errors import UserError

FRACTIONS = [0.7, 0.15, 0.15]


def rows(count: int, seed: int, largest: int = 1) -> pd.DataFrame:
    """Groups of 1 to `largest` rows; two labels, three sources, the last one rare."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, count)
    table = pd.DataFrame({"group": np.repeat(rng.permutation(count), sizes)})
    kinds = np.array([(0, "camera"), (1, "gan"), (1, "rare")], dtype=object)
    kind = rng.choice(3, len(table), p=[0.5, 0.45, 0.05])
    return table.assign(label=kinds[kind, 0].astype(int), source=kinds[kind, 1])


@given(st.integers(0, 300), st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 99))
def test_groups_are_whole_and_shares_are_kept(count: int, seed: int, largest: int, split_seed: int) -> None:
    table = rows(count + 1, seed, largest)
    part = deal(table, FRACTIONS, split_seed)
    assert (table.assign(part=part).groupby("group")["part"].nunique() == 1).all()
    for key in (["label", "source"], ["label"]):
        for _, stratum in table.assign(part=part).groupby(key):
            shares = np.bincount(stratum["part"], minlength=3) - np.array(FRACTIONS) * len(stratum)
            assert np.abs(shares).max() <= largest + 2


@given(st.integers(20, 200), st.integers(0, 10_000), st.integers(1, 5))
def test_the_order_of_rows_does_not_matter(count: int, seed: int, largest: int) -> None:
    table = rows(count, seed, largest)
    shuffled = table.sample(frac=1, random_state=seed)
    part = pd.Series(deal(table, FRACTIONS, 0), index=table.index)
    again = pd.Series(deal(shuffled, FRACTIONS, 0), index=shuffled.index)
    pd.testing.assert_series_equal(part, again.sort_index())


def test_the_seed_decides() -> None:
    table = rows(200, 0)
    first, again, other = (deal(table, FRACTIONS, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@given(st.integers(30, 200), st.integers(2, 6), st.integers(0, 1000))
def test_folds_are_equal_and_keep_groups_together(count: int, folds: int, seed: int) -> None:
    table = rows(count, seed, 2)
    assume(table["label"].value_counts().min() > 2 * folds)
    table["fold"] = assign_folds(table, folds, seed)
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    sizes = table.groupby(["label", "fold"]).size().unstack()
    assert (sizes.max(axis=1) - sizes.min(axis=1)).max() <= 4


def test_one_fold_is_refused() -> None:
    with pytest.raises(UserError, match="cv.folds=1"):
        assign_folds(rows(5, 0), 1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_group_leaves_room_for_its_shares(seed: int) -> None:
    table = pd.DataFrame({"group": [*range(40), *[99] * 60], "label": 0, "source": "x"})
    assert np.bincount(deal(table, [0.6, 0.2, 0.2], seed)).tolist() == [60, 20, 20]


@pytest.mark.parametrize("fractions", [[0.7, 0.2], [0.7, 0.2, 0.2], [1.2, -0.1, -0.1], [0.0, 0.0, 0.0]])
def test_fractions_must_be_shares_of_one(fractions: list[float]) -> None:
    with pytest.raises(UserError, match="data.fractions"):
        assign_splits(rows(50, 0), fractions, 0)


def test_a_split_that_is_not_wanted_stays_empty() -> None:
    assert set(assign_splits(rows(50, 0), [0.8, 0.2, 0], 0)) == {"train", "val"}


def test_too_few_images_of_a_class() -> None:
    table = pd.DataFrame({"group": range(12), "label": [0] * 10 + [1] * 2, "source": "x"})
    with pytest.raises(UserError, match="would hold no fake ones. There are 2 in all"):
        assign_splits(table, FRACTIONS, 0)


def test_one_giant_group_is_too_few() -> None:
    table = pd.DataFrame({"group": 0, "label": [0, 1] * 50, "source": "x"})
    with pytest.raises(UserError, match="too few images: val would hold no real"):
        assign_splits(table, FRACTIONS, 0)
