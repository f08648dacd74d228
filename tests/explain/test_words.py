"""What pages and screen say of maps and of how faithful they are."""

from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dfd.config import EvaluationConfig
from dfd.evaluation.calibration import Calibration
from dfd.explain.maps import COMBINED, Map
from dfd.explain.summary import summarise
from dfd.report import explain_words
from dfd.report.explain_faithfulness_page import FaithfulnessContext
from dfd.report.explain_faithfulness_page import render as render_faithfulness
from dfd.report.explain_faithfulness_table import print_faithfulness
from dfd.report.explain_faithfulness_words import cautions, summary
from dfd.report.explain_page import ExplainContext, render
from tests.explain.test_summary import table

ABOUT = {
    "data": "demo",
    "fingerprint": "0",
    "split": "test",
    "bundle": "net",
    "weights_sha256": "0",
    "device": "cpu",
    "seen": False,
    "samples": 10,
    "seed": 0,
    "n_unreadable": 0,
}


def figures(n: int, **options: Any) -> dict[str, Any]:
    found = summarise(table(n, **options), ["gradcam"], EvaluationConfig(resamples=200))
    curve = np.linspace(0, 1, found["steps"] + 1).tolist()
    curves = {name: dict.fromkeys(each, curve) for name, each in found["curves"].items()}
    return {**found, **ABOUT, "curves": curves}


def with_alike(value: float, low: float | None, high: float | None) -> list[str]:
    found = figures(20, regions=False)
    alike = {"value": value, "low": low, "high": high, "n": 20, "reason": "too few images"}
    found["methods"]["gradcam"]["alike"]["all"] = alike
    return summary(found)


def test_a_handful_of_images_is_never_surely_better() -> None:
    assert "answer follows its maps" in summary(figures(60))[0]
    few = summary(figures(4, better=0.3))
    assert "not surely better" in few[0]
    assert not any("Surely" in line for line in few)


def test_few_images_are_told() -> None:
    assert not [line for line in cautions(figures(130)) if line.startswith("Few")]
    images, fakes = (line for line in cautions(figures(20)) if line.startswith("Few"))
    assert "the smaller class has 10 independent ones" in images or "has 9 independent ones" in images
    assert "fakes with known parts: 10 independent" in fakes or "fakes with known parts: 9 independent" in fakes


@pytest.mark.parametrize("n", [1, 2, 4, 20])
def test_page_and_screen_show_figures_without_intervals(n: int) -> None:
    found = figures(n)
    page = render_faithfulness(FaithfulnessContext(found, [], "dfd explain"))
    assert "too few images" in page or n == 20
    console = Console(file=StringIO(), width=200)
    print_faithfulness(console, found)
    assert "None" not in page.partition("<main")[2] and "None" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("alike", "told"),
    [
        ((0.2, 0.1, 0.3), "they depend on what was learnt."),
        ((0.8, 0.6, 0.9), "was never learnt"),
        ((0.4, 0.1, 0.6), "is not sure"),
        ((0.6, 0.4, 0.7), "is not sure"),
        ((0.2, None, None), "is not sure"),
    ],
)
def test_what_was_learnt_follows_from_the_whole_interval(alike: tuple[float, Any, Any], told: str) -> None:
    line = with_alike(*alike)[1]
    assert told in line
    if alike[1] is not None:
        assert f"(+{alike[1]:.3f} to +{alike[2]:.3f})" in line


def test_names_on_the_screen_have_no_control_characters() -> None:
    found = figures(20)
    found["pointing"]["a\u009b31m\u202e"] = found["pointing"].pop("a")
    console = Console(file=StringIO(), width=200)
    print_faithfulness(console, found)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a\\x9b31m\\u202e" in shown and "\u009b" not in shown and "\u202e" not in shown


def page(*maps: Map) -> str:
    return render(
        ExplainContext(
            name="a.png",
            image=np.zeros((8, 8, 3), np.uint8),
            maps=maps,
            row={"logit": 0.0, "prob": 0.5, "verdict": "unsure"},
            calibration=Calibration(1.0, 0.0, 0.5, 0.4, 0.6),
            facts={},
            samples=10,
            seed=0,
            with_views=False,
            command="dfd explain a.png",
        )
    )


def a_map(network: str, share: float = 1.0, alike: bool = False) -> Map:
    return Map(np.ones((8, 8), np.float32), "gradcam", network, share, alike)


def test_a_member_with_all_of_the_weight_keeps_its_name() -> None:
    shown = page(a_map(COMBINED), a_map("first", 1.0), a_map("second", 0.0))
    assert "<h3>first</h3>" in shown and "<h3>second</h3>" in shown
    assert shown.count("<h3>Grad-CAM</h3>") == 1
    assert "100% of what moves the ensemble" in shown


def test_no_share_is_told_where_no_network_alone_moves_the_answer() -> None:
    shown = page(a_map(COMBINED, alike=True), *(a_map(name, 1 / 3, True) for name in "abc"))
    assert "33%" not in shown and "each counted as much as" not in shown
    assert shown.count(explain_words.NONE_MOVES) == 4  # under each member, and over all
