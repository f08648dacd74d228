"""Out-of-fold scores: no row is scored by a model that has seen it or its group."""

import numpy as np
import pandas as pd
import pytest

from dfd.audit import fitting
from dfd.audit.families import encoded
from dfd.audit.measure import CHANCE, Rows, add_primary, cross_validated, level_of, measure_sets
from dfd.data.splits import assign_folds


def table(n: int = 120, copies: int = 1) -> pd.DataFrame:
    label = np.arange(n) // copies % 2
    return pd.DataFrame({"label": label, "group": np.arange(n) // copies, "source": np.where(label, "gan", "camera")})


def rows(n: int = 120, copies: int = 1, folds: int = 3) -> Rows:
    made = table(n, copies)
    return Rows(made, assign_folds(made, folds, 0), strata=5, resamples=100, seed=0)


def test_a_difference_is_found_by_either_classifier() -> None:
    data, rng = rows(), np.random.default_rng(0)
    straight = data.label + rng.normal(0, 0.1, 120)
    bent = np.where(data.label == 1, rng.choice([-1, 1], 120), 0) + rng.normal(0, 0.1, 120)  # trees alone see it
    for values in (straight, bent):
        score = fitting.out_of_fold(values[:, None], data.table, data.fold, 0, trees=True)
        assert cross_validated(score, data)[0]["value"] > 0.95


def test_scores_are_ranks_within_the_fold() -> None:
    data = rows()
    score = fitting.out_of_fold(np.random.default_rng(0).normal(size=(120, 2)), data.table, data.fold, 0, trees=False)
    for fold in range(3):
        own = np.sort(score[data.fold == fold])
        assert own == pytest.approx((np.arange(len(own)) + 0.5) / len(own))


def test_copies_in_one_group_do_not_help_each_other() -> None:
    """Unique random features that four copies share: a model that had seen a copy would know the label."""
    data = rows(240, copies=4)
    values = np.repeat(np.random.default_rng(1).normal(size=(60, 3)), 4, axis=0)
    held = fitting.out_of_fold(values, data.table, data.fold, 0, trees=True)
    torn = Rows(data.table, np.arange(240) % 4, 5, 100, 0)
    leaky = fitting.out_of_fold(values, torn.table, torn.fold, 0, trees=True)
    assert cross_validated(leaky, torn)[0]["value"] > 0.8 > cross_validated(held, data)[0]["high"]


def test_nothing_to_tell_is_exactly_guessing() -> None:
    data = rows()
    score = fitting.out_of_fold(np.zeros((120, 0)), data.table, data.fold, 0, trees=True)
    figure, chance = cross_validated(score, data)
    assert figure["value"] == 0.5 and figure["low"] < 0.5 < figure["high"] and chance > CHANCE


def test_many_rows_are_thinned_by_whole_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST_ROWS", 40)
    kept = fitting._at_most(np.arange(120), table(120, copies=4), seed=0)
    assert len(kept) == 40 and len(np.unique(kept // 4)) == 10


def test_clean_sets_are_clean_and_a_leak_is_severe() -> None:
    data, rng = rows(160), np.random.default_rng(3)
    noise = [encoded(f"noise {number}", "", rng.normal(size=(160, 3))) for number in range(3)]
    leak = encoded("leak", "", (data.label + rng.normal(0, 0.3, 160))[:, None])
    sets, scores = measure_sets([*noise, leak], data)
    assert {key: each["level"] for key, each in sets.items()} == {
        **{family.name: "clean" for family in noise},
        "leak": "severe",
    }
    assert all(sets[family.name]["auroc"]["low"] <= 0.5 <= sets[family.name]["auroc"]["high"] for family in noise)
    primary = add_primary(scores, ["noise 0", "leak"], data)
    assert primary["auroc"]["value"] > sets["leak"]["auroc"]["value"] - 0.03
    assert scores["primary"].between(0, 1).all()


@pytest.mark.parametrize(
    ("auroc", "p", "level"),
    [
        *((0.9, 0.2, "clean"), (0.4, 0.001, "clean"), (0.55, 0.001, "slight")),
        *((0.6, 0.001, "warning"), (0.75, 0.001, "severe")),
    ],
)
def test_levels(auroc: float, p: float, level: str) -> None:
    assert level_of(auroc, p) == level
