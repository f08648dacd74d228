"""Differences on the same images: signs, agreement of the methods, and what must not look certain."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binomtest, t
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, roc_auc_score

from dfd.evaluation.paired import FIGURES, Scored, as_json, bootstrap, compare, difference, holm, mcnemar


def scored(logit: Any) -> Scored:
    prob = expit(logit)
    return Scored(logit, prob, prob >= 0.5)


def pair(n: int = 200, better: float = 1.5, worse: float = 1.0, seed: int = 0) -> tuple[Any, Scored, Scored]:
    """Labels and two detectors that share half of their noise."""
    generator = np.random.default_rng(seed)
    label = np.arange(n) % 2
    common, *own = generator.normal(0, np.sqrt(0.5), (3, n))
    first, second = (
        strength * (2 * label - 1) / 2 + common + noise for strength, noise in zip((better, worse), own, strict=True)
    )
    return label, scored(first), scored(second)


def test_the_values_are_the_differences_of_sklearns_figures() -> None:
    label, first, second = pair()
    found = compare(label, np.arange(200), first, second, 100, 0).differences
    expected = {
        "auroc": roc_auc_score(label, first.logit) - roc_auc_score(label, second.logit),
        "balanced_accuracy": balanced_accuracy_score(label, first.called_fake)
        - balanced_accuracy_score(label, second.called_fake),
        "accuracy": accuracy_score(label, first.called_fake) - accuracy_score(label, second.called_fake),
        "brier": brier_score_loss(label, first.prob) - brier_score_loss(label, second.prob),
    }
    assert {key: found[key].value for key in FIGURES} == pytest.approx(expected, abs=1e-12)
    for each in found.values():
        assert each.low < each.value < each.high and 0 <= each.p <= 1
        assert (each.p < 0.05) == (each.low > 0 or each.high < 0)  # the interval and the test agree


def test_bootstrap_and_delong_agree_on_independent_images() -> None:
    label, first, second = pair(600)
    by_delong = compare(label, np.arange(600), first, second, 100, 0).differences["auroc"]
    by_bootstrap = bootstrap(label, np.arange(600), first, second, 2000, 0)["auroc"]
    assert by_delong.method == "DeLong" and by_bootstrap.method == "bootstrap of groups"
    assert by_bootstrap.error == pytest.approx(by_delong.error, rel=0.05)
    assert by_bootstrap.p == pytest.approx(by_delong.p, abs=0.01)


def test_groups_let_the_bootstrap_decide_and_copies_are_not_more_evidence() -> None:
    label, first, second = pair(80)
    copies = np.tile(np.arange(80), 4)
    four = [
        Scored(*(np.tile(part, 4) for part in (each.logit, each.prob, each.called_fake))) for each in (first, second)
    ]
    once = bootstrap(label, np.arange(80), first, second, 1000, 0)["auroc"]
    grouped = compare(np.tile(label, 4), copies, *four, 1000, 0)
    assert not grouped.independent and grouped.groups == 80 and grouped.n == 320
    assert grouped.differences["auroc"].method == "bootstrap of groups"
    assert grouped.differences["auroc"].error == pytest.approx(once.error, rel=1e-9)
    taken_for_independent = compare(np.tile(label, 4), np.arange(320), *four, 1000, 0)
    assert taken_for_independent.independent
    assert taken_for_independent.differences["auroc"].error < 0.6 * once.error


def test_pairing_cancels_shared_chance() -> None:
    label, first, second = pair(400)
    _, _, stranger = pair(400, seed=9)
    paired = bootstrap(label, np.arange(400), first, second, 500, 0)["auroc"]
    unpaired = bootstrap(label, np.arange(400), first, stranger, 500, 0)["auroc"]
    assert paired.error < 0.85 * unpaired.error


def test_a_detector_does_not_differ_from_itself() -> None:
    label, first, _ = pair()
    found = compare(label, np.arange(200), first, first, 100, 0)
    for each in found.differences.values():
        assert (each.value, each.low, each.high, each.p) == (0, 0, 0, 1)
    assert found.mcnemar.p == 1


def test_turning_the_pair_turns_the_sign_and_keeps_p() -> None:
    label, first, second = pair()
    one, other = (compare(label, np.arange(200), *each, 200, 3) for each in ((first, second), (second, first)))
    for key in FIGURES:
        a, b = one.differences[key], other.differences[key]
        assert (a.value, a.low, a.high, a.p) == pytest.approx((-b.value, -b.high, -b.low, b.p))
    assert one.mcnemar.p == other.mcnemar.p and one.mcnemar.first_only == other.mcnemar.second_only


@pytest.mark.parametrize("images", [1, 2, 3, 30])
def test_full_agreement_of_few_images_is_no_proof(images: int) -> None:
    """A perfect detector against a constant one: no image contradicts, so every variance is 0."""
    label = np.repeat([0, 1], images)
    perfect, constant = scored(np.where(label == 1, 3.0, -3.0)), scored(np.zeros(2 * images))
    for group in (np.arange(2 * images), np.arange(2 * images) % images):
        auroc = compare(label, group, perfect, constant, 100, 0).differences["auroc"]
        assert auroc.value == 0.5 and auroc.p >= min(1, 2 * 0.5**images) - 1e-9
        assert -1 <= auroc.low <= auroc.value <= auroc.high <= 1 and (auroc.low > 0) == (auroc.p < 0.05)


def test_the_error_of_few_groups_is_that_of_their_mean() -> None:
    """Accuracy on 4 groups of 10 fakes, the reals all right: half of the mean of 4 shares, and Student's t of 3."""
    right = [9, 6, 8, 3]
    label, group = np.repeat([0, 1], 40), np.repeat(np.arange(8), 10)
    called = np.concatenate([np.zeros(40, dtype=bool), *(np.arange(10) < each for each in right)])
    some = Scored(called.astype(float), called.astype(float), called)
    none = Scored(np.zeros(80), np.zeros(80), np.zeros(80, dtype=bool))
    found = bootstrap(label, group, some, none, 20_000, 0)["accuracy"]
    error = np.std(np.array(right) / 20, ddof=1) / 2
    assert found.value == pytest.approx(np.mean(right) / 20) and found.error == pytest.approx(error, rel=0.02)
    assert found.p == pytest.approx(2 * t.sf(found.value / found.error, 3))


def test_three_groups_prove_little() -> None:
    """With 3 groups, Student's t asks for more than twice of what the normal distribution does."""
    by_t = difference(0.1, 0.04, 3, "bootstrap", freedom=2)
    assert difference(0.1, 0.04, 3, "bootstrap").p < 0.05 < by_t.p and by_t.low < 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_the_sign_test_of_the_rows_that_differ(rows: list[tuple[bool, bool]]) -> None:
    first, second = np.array(rows).T
    found = mcnemar(first, second)
    assert found.first_only - found.second_only == first.sum() - second.sum()
    assert found.first_only + found.second_only == (first != second).sum()
    if (first != second).any():
        assert found.p == binomtest(int((first & ~second).sum()), int((first != second).sum())).pvalue


def test_mcnemar_on_a_worked_example() -> None:
    """10 against 2 of 12 discordant rows: 2 * (1 + 12 + 66) / 4096."""
    first, second = np.array([1] * 10 + [0] * 2, dtype=bool), np.array([0] * 10 + [1] * 2, dtype=bool)
    assert mcnemar(first, second).p == pytest.approx(2 * 79 / 4096)


def test_holm_on_holms_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for before, after in zip(p, adjusted, strict=True):
        assert before <= after <= min(1, len(p) * before) + 1e-12
    ordered = [after for _, after in sorted(zip(p, adjusted, strict=True))]
    assert all(a <= b for a, b in pairwise(ordered))


def test_one_group_alone_has_no_error_to_tell_and_json_can_say_so() -> None:
    label, first, second = pair(8)
    found = as_json(compare(label, np.zeros(8), first, second, 10, 0))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    brier = found["differences"]["brier"]
    assert (brier["error"], brier["method"]) == (None, "one group alone")
    assert set(found) == {"n", "groups", "independent", "differences", "mcnemar"}
