"""Groups stay whole, each kind is spread evenly, and the order of the rows does not matter."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dfd.evaluation.groups import deal_folds, strata

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=1, max_size=40)


@given(ROWS)
def test_every_group_is_of_one_kind(rows: list[tuple[int, int]]) -> None:
    label, group = np.array(rows).T
    codes, kinds = strata(label, group)
    assert sorted(np.concatenate(kinds)) == list(range(len(set(group))))
    for kind in kinds:
        assert len({frozenset(label[codes == each]) for each in kind}) == 1


@given(ROWS, st.integers(2, 5), st.integers(0, 99))
def test_folds_keep_groups_whole_and_kinds_even(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    label, group = np.array(rows).T
    fold = deal_folds(label, group, folds, seed)
    assert all(len(np.unique(fold[group == each])) == 1 for each in group)
    codes, kinds = strata(label, group)
    for kind in kinds:
        sizes = np.bincount([fold[codes == each][0] for each in kind], minlength=folds)
        assert np.ptp(sizes) <= 1
    shuffled = np.random.default_rng(0).permutation(len(label))
    assert (deal_folds(label[shuffled], group[shuffled], folds, seed) == fold[shuffled]).all()


def test_folds_are_drawn_by_the_seed() -> None:
    label, group = np.arange(40) % 2, np.arange(40)
    assert (deal_folds(label, group, 5, 0) != deal_folds(label, group, 5, 1)).any()
    assert len(np.unique(np.diff(deal_folds(label, group, 5, 0)[::2]))) > 2  # not simply in turn
