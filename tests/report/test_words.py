from typing import Any

import pytest

from dfd.evaluation.metrics import NAMES
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
    assert words.number(value) == shown


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


def test_fakes_among_called_fake_follows_bayes() -> None:
    metrics = {"overall": {"recall": {"value": 0.9}, "specificity": {"value": 0.95}}}
    assert words.fakes_among_called_fake(metrics, 0.01) == pytest.approx(0.009 / (0.009 + 0.0495))
    metrics["overall"]["recall"]["value"] = None  # type: ignore[dict-item]
    assert words.fakes_among_called_fake(metrics, 0.01) is None


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
