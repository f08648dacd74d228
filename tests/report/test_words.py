from typing import Any

import pytest

from dfd.evaluation.metrics import NAMES
from dfd.evaluation.wording import number, times_in_100
from dfd.report import words
from dfd.report.page import ReportContext


def figure(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 10}


def test_every_figure_has_a_meaning() -> None:
    assert set(words.MEANINGS) == set(NAMES)


def test_printable_keeps_letters_and_escapes_the_rest() -> None:
    assert words.printable("Ünïcode 한국 \n\t\x1b[31m\udc80\u202e") == "Ünïcode 한국 \\n\\t\\x1b[31m\\udc80\\u202e"
    words.printable("\ud800").encode("utf-8")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (1.0, "1.000"), (0.99999, "> 0.999"), (0.0, "0.000"), (1e-9, "< 0.001"), (None, "–")],
)
def test_number(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_threshold_or_the_span_of_the_folds() -> None:
    assert words.threshold({"threshold": 0.5}) == "0.500"
    by_fold = {"threshold": 0.5, "threshold_low": 0.45, "threshold_high": 0.52}
    assert words.threshold(by_fold) == "0.500 (by fold: 0.450 – 0.520)"


def test_an_interval_or_the_reason_why_there_is_none() -> None:
    assert words.interval(figure(0.5, 0.4, 0.6)) == "0.400 – 0.600"
    assert words.interval({"value": None, "low": None, "high": None, "reason": "no real images"}) == "no real images"


def test_percentages_have_the_same_decimals() -> None:
    assert words.percent_interval(figure(0.79, 0.72, 0.85)) == "79% (72% to 85%)"
    assert words.percent_interval(figure(0.9, 0.84, 0.939)) == "90.0% (84.0% to 93.9%)"
    assert words.percent(1.0) == "100%" and words.percent(0.004) == "0.4%"


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.9996, "more than 99.9%"), (0.9994, "99.9%"), (0.0004, "less than 0.1%"), (0.0006, "0.1%"), (0.0, "0%")],
)
def test_only_an_exact_share_is_all_or_none(share: float, shown: str) -> None:
    assert words.percent(share) == shown


def test_an_interval_claims_all_or_none_only_where_its_ends_are() -> None:
    assert words.percent_interval(figure(0.9996, 0.985, 1.0)) == "more than 99.9% (98.5% to 100.0%)"
    assert words.percent_interval(figure(0.0004, 0.0, 0.012)) == "less than 0.1% (0.0% to 1.2%)"


@pytest.mark.parametrize(
    ("auroc", "times"),
    [
        (0.0, "0"),
        (0.0003, "less than 0.1"),
        (0.004, "0.4"),
        (0.874, "87"),
        (0.99, "99"),
        (0.9968, "99.7"),
        (0.9996, "more than 99.9"),
        (1.0, "100"),
    ],
)
def test_times_in_100(auroc: float, times: str) -> None:
    assert times_in_100(auroc) == times


@pytest.mark.parametrize(
    ("auroc", "said"), [(0.874, "about 87"), (0.9993, "about 99.9"), (0.9996, "fake higher more than 99.9")]
)
def test_the_auroc_in_a_sentence(context: ReportContext, auroc: float, said: str) -> None:
    context.metrics["overall"]["auroc"]["value"] = auroc
    assert f"{said} times in 100." in words.summary(context.metrics)[0]


def test_fakes_among_called_fake_follow_bayes_at_the_ends_of_both_intervals() -> None:
    overall = {"recall": figure(0.9, 0.8, 0.95), "specificity": figure(0.95, 0.9, 0.98)}
    ends = (0.008 / (0.008 + 0.099), 0.0095 / (0.0095 + 0.0198))
    assert words.fakes_among_called_fake({"overall": overall}, 0.01) == pytest.approx(ends)
    unknown = {"value": None, "low": None, "high": None}
    for key in overall:
        assert words.fakes_among_called_fake({"overall": {**overall, key: unknown}}, 0.01) is None
    silent = {"recall": figure(0.0, 0.0, 0.1), "specificity": figure(1.0, 0.9, 1.0)}
    assert words.fakes_among_called_fake({"overall": silent}, 0.01) is None, "no alarm, none to be right"


def test_no_false_alarm_among_few_reals_is_no_guarantee(context: ReportContext) -> None:
    context.metrics["overall"] |= {"recall": figure(0.95, 0.93, 0.97), "specificity": figure(1.0, 0.977, 1.0)}
    told = "Were 1 image in 100 fake, between 29% and 100% of the alarms at its threshold would be right"
    assert any(told in line for line in words.cautions(context.metrics))


def test_ends_that_read_alike_are_said_once(context: ReportContext) -> None:
    context.metrics["overall"] |= {"recall": figure(0.5, 0.499, 0.501), "specificity": figure(0.5, 0.4999, 0.5001)}
    assert any("fake, 1.0% of the alarms" in line for line in words.cautions(context.metrics))


def test_false_alarms_are_the_opposite_of_specificity(context: ReportContext) -> None:
    specificity = context.metrics["overall"]["specificity"]
    wrong = figure(1 - specificity["value"], 1 - specificity["high"], 1 - specificity["low"])
    assert any(
        f"calls {words.percent_interval(wrong)} of the real images fake" in s for s in words.summary(context.metrics)
    )


@pytest.mark.parametrize(
    ("value", "p", "said"),
    [
        (0.02, 0.0001, "p < 0.001 (DeLong, n = 9): the ensemble beats it"),
        (-0.02, 0.01, "p = 0.010 (DeLong, n = 9): the ensemble is worse than it"),
        (0.02, 0.2, "p = 0.200 (DeLong, n = 9): no real difference"),
    ],
)
def test_an_ensemble_against_its_best_member_in_words(value: float, p: float, said: str) -> None:
    auroc = {"value": value, "low": value - 0.01, "high": value + 0.01, "p": p, "method": "DeLong"}
    found = words.against_best_member({"member": "clip", "n": 9, "differences": {"auroc": auroc}})
    assert found.startswith("clip: AUROC ") and found.endswith(said)
