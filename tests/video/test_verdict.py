import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.evaluation.calibration import Calibration
from dfd.video.verdict import AGGREGATES, judge, longest_fake, rule

CALIBRATION = Calibration(temperature=1.0, bias=0.0, threshold=0.5, unsure_low=0.4, unsure_high=0.6)
NAN = float("nan")


@pytest.mark.parametrize(
    ("logits", "aggregate", "logit"),
    [
        ([1.0, 2.0, 6.0], "mean", 3.0),
        ([1.0, 2.0, 6.0], "median", 2.0),
        ([1.0, 2.0, 6.0], "top", 6.0),
        ([*range(20)], "top", 18.5),
        ([1.0, NAN, 3.0], "mean", 2.0),
    ],
)
def test_the_frames_logits_become_one(logits: list[float], aggregate: str, logit: float) -> None:
    found = judge(np.array(logits, float), CALIBRATION, aggregate)
    assert found.logit == pytest.approx(logit)
    assert found.prob == pytest.approx(1 / (1 + np.exp(-logit)))


def test_a_quarter_of_frames_against_it_makes_it_unsure() -> None:
    agreed = judge(np.array([4.0] * 7 + [-1.0] * 2), CALIBRATION, "mean")
    assert (agreed.verdict, agreed.reason) == ("fake", "")
    split = judge(np.array([4.0] * 6 + [-1.0] * 2), CALIBRATION, "mean")
    assert split.verdict == "unsure" and split.prob > 0.9
    assert split.reason == "the frames disagree: together they say fake, but 25% of them are called real"
    other = judge(np.array([-4.0] * 6 + [1.0] * 2), CALIBRATION, "mean")
    assert other.verdict == "unsure" and "say real, but 25% of them are called fake" in other.reason


def test_for_the_highest_tenth_the_others_are_no_objection() -> None:
    found = judge(np.array([-5.0] * 19 + [5.0]), CALIBRATION, "top")
    assert (found.verdict, found.reason) == ("unsure", "")  # the mean of 5 and -5
    assert judge(np.array([-5.0] * 18 + [5.0] * 2), CALIBRATION, "top").verdict == "fake"


def test_too_few_scored_frames_make_it_unsure() -> None:
    assert judge(np.array([4.0, 4.0, NAN, NAN]), CALIBRATION, "mean").verdict == "fake"
    found = judge(np.array([4.0, 4.0, NAN, NAN, NAN]), CALIBRATION, "mean")
    assert (found.verdict, found.reason) == ("unsure", "only 2 of 5 frames could be scored")


def test_without_a_scored_frame_there_is_no_verdict() -> None:
    for logits in (np.empty(0), np.array([NAN, NAN])):
        found = judge(logits, CALIBRATION, "mean")
        assert found.verdict is None and np.isnan(found.prob) and found.shares == {}


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=50), st.sampled_from(sorted(AGGREGATES)))
def test_order_does_not_count_and_the_logit_is_among_the_frames(logits: list[float], aggregate: str) -> None:
    one, other = (judge(np.array(each), CALIBRATION, aggregate) for each in (logits, logits[::-1]))
    assert one.logit == pytest.approx(other.logit) and one.verdict == other.verdict
    assert min(logits) - 1e-9 <= one.logit <= max(logits) + 1e-9
    assert sum(one.shares.values()) == pytest.approx(1)


def test_the_rule_is_told_with_its_numbers() -> None:
    assert rule("mean").startswith("mean logit of the frames") and "25%" in rule("mean") and "50%" in rule("mean")
    assert "25%" not in rule("top")


@pytest.mark.parametrize(
    ("verdicts", "span"),
    [
        ("rrff", (2, 3)),
        ("frfffr", (2, 4)),
        ("f-ffu", (0, 3)),
        ("fff", (0, 2)),
        ("fr", None),
        ("rrr", None),
        ("", None),
    ],
)
def test_the_longest_run_of_fake_frames(verdicts: str, span: tuple[int, int] | None) -> None:
    names = {"r": "real", "f": "fake", "u": "unsure", "-": None}
    times = np.arange(len(verdicts), dtype=float)
    assert longest_fake(times, [names[one] for one in verdicts]) == span
