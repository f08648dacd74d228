from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dfd.evaluation.distances import measure
from dfd.evaluation.nearest import Beside, memorisation, nearest
from dfd.report.fid_page import FidContext, Pair, render
from dfd.report.fid_table import print_fid
from dfd.report.fid_words import cautions, few, kid_name, summary, value_of

HOSTILE = "<script>alert('x')</script>.jpg"


def context_of(rows: int = 80, shift: float = 0.0, copies: int = 0, held: bool = True, **more: Any) -> FidContext:
    rng = np.random.default_rng(0)
    real, held_out = (rng.normal(size=(rows, 16)) for _ in range(2))
    fake = rng.normal(size=(rows, 16)) + shift
    fake[:copies] = real[:copies]
    close, away = nearest(fake, real).distance, nearest(held_out, real).distance
    beside = Beside(nearest(fake, held_out).distance, 0.5)
    figures = {
        "kind": "fid",
        "label": "FD(tiny)",
        "data": "faces <b>",
        "fingerprint": "abc",
        "split": "train",
        "gan": {"name": "gan", "sha256": "0f" * 32, "trained_on": "abc"},
        "trunc": 0.7,
        "extractor": {"name": "tiny", "origin": "file w", "sha256": "12" * 32},
        "resolution": 32,
        "filter": "lanczos",
        "seed": 3,
        "device": "cpu",
        **measure(real, fake, 10, 1000, 0),
        "memorisation": memorisation(close, away, beside if held else None),
        "held_out": "reals of the val split",
        "n_unreadable": 1,
        "unreadable": [{"path": HOSTILE, "error": "truncated"}],
        **more,
    }
    grey = np.full((32, 32, 3), 128, np.uint8)
    return FidContext(figures, [Pair("sample 4", grey, HOSTILE, None, 0.25)], close, away, "dfd eval\n  x=<y>")


def test_the_page_has_every_figure_and_says_what_it_was_obtained_on() -> None:
    context = context_of()
    page = render(context)
    for key in ("fd", "kid"):
        for figure in (context.figures[key], context.figures["floor"][key]):
            assert value_of(key, figure) in page
    for told in (
        "KD(tiny)",
        "truncation 0.7, seed 3",
        "12" * 8,
        "0f" * 8,
        "abc",
        "32 px: centre square, lanczos",
        "jackknife",
    ):
        assert told in page
    assert "no picture" in page and page.count("data:image/png") == 1


def test_text_from_outside_is_escaped() -> None:
    page = render(context_of())
    assert "<script" not in page and "faces <b>" not in page and "x=<y>" not in page


def test_only_the_published_inception_is_called_fid() -> None:
    own, other = context_of(label="FID").figures, context_of().figures
    assert (kid_name(own), kid_name(other)) == ("KID", "KD(tiny)")
    assert not any("no FID" in line for line in cautions(own))
    assert any("This is no FID" in line for line in cautions(other))
    assert "FID" not in render(context_of()).replace("This is no FID", "")


def test_words_follow_the_figures() -> None:
    honest, far, copied = (context_of(**more).figures for more in ({}, {"shift": 3.0}, {"copies": 40}))
    assert any("no difference of the sets could be shown" in line for line in summary(honest))
    assert any("the sets differ" in line for line in summary(far))
    assert any("no sign of copies" in line for line in summary(honest))
    assert any("some may be copies" in line for line in summary(copied))
    dull = {**copied["memorisation"], "to_training": {**copied["memorisation"]["to_training"], "p": 0.3}}
    assert any("lack variety rather" in line for line in summary({**copied, "memorisation": dull}))
    unknown = context_of(copies=40, held=False).figures
    assert any("can't be told from a lack of variety" in line for line in summary(unknown))


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.7, 0.6, 0.85, "The samples are less varied than the reals"),
        (0.7, 0.45, 0.95, "can't be told: diversity 0.700 (0.450 – 0.950)"),
        (1.0, 0.85, 1.15, "can't be told"),
        (1.0, 0.93, 1.06, "The samples are about as varied as the reals"),
        (1.6, 1.5, 1.7, "The samples are more varied than the reals, which may be noise"),
    ],
)
def test_variety_is_what_its_whole_interval_says(value: float, low: float, high: float, said: str) -> None:
    lines = summary(context_of(diversity={"value": value, "low": low, "high": high, "n": 80}).figures)
    (line,) = [line for line in lines if "diversity" in line]
    assert said in line and line.endswith(".")


def test_few_images_are_told_apart_from_enough() -> None:
    figures = context_of().figures
    assert "80" in str(few(figures)) and "rough" in str(few(figures))
    assert "not of full rank" in str(few({**figures, "width": 100}))
    assert few({**figures, "n_real": 5000, "n_fake": 5000}) is None


def test_a_figure_that_cannot_be_told_says_why() -> None:
    figures = context_of(rows=3).figures
    assert figures["kid"]["value"] is None
    assert "3 images are too few" in render(context_of(rows=3))


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [("fd", 1234.567, "1,234.57"), ("kid", -0.00123, "−0.00123"), ("kid", -1e-9, "0.00000"), ("share", 0.039, "3.9%")],
)
def test_numbers(key: str, value: float, shown: str) -> None:
    assert value_of(key, {"value": value}) == shown


def test_the_table_on_screen_names_figures_and_files() -> None:
    screen = StringIO()
    print_fid(Console(file=screen, width=120), context_of().figures)
    for told in ("FD(tiny)", "KD floor", "Diversity", "Very close to training", "truncated", "Few images"):
        assert told in screen.getvalue()
