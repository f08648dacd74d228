"""The page, the pictures on it, the words and the table on screen, from figures of a small example."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from dfd.config import ChangesConfig, EvaluationConfig
from dfd.data.changes import Change, changes_of
from dfd.evaluation.calibration import Calibration
from dfd.evaluation.robustness import measure
from dfd.report.robustness_examples import example_versions
from dfd.report.robustness_page import RobustnessContext, render, write_robustness_page
from dfd.report.robustness_plots import kind_plot, lowest_of
from dfd.report.robustness_table import print_robustness
from dfd.report.robustness_words import cautions, name_of, summary
from tests.images import write_picture

CHANGES = changes_of(ChangesConfig(jpeg=[90, 30], brightness=[0.5, 1.5]))
CALIBRATION = Calibration(temperature=1.0, bias=0.0, threshold=0.5, unsure_low=0.4, unsure_high=0.6)
HOSTILE = "<script>alert('x')</script>.jpg"
N = 40


def logits(seed: int = 0) -> np.ndarray:
    """[N, 5]: JPEG at 30 takes most of the signal, darkening moves all images towards 'fake'."""
    random = np.random.default_rng(seed)
    signal, rest = 5.0 * (np.arange(N) % 2 - 0.5), random.normal(0, 1, N)
    plain = signal + rest
    return np.stack([plain, plain + 0.01, 0.2 * signal + rest, plain + 3, plain], axis=1)


def figures_of(logit: np.ndarray, changes: list[Change]) -> dict[str, Any]:
    cells = [(change.kind, change.strength) for change in changes]
    found = measure(logit, np.arange(N) % 2, np.arange(N), cells, CALIBRATION, EvaluationConfig(resamples=100))
    about = {"data": "faces <b>", "fingerprint": "abc", "split": "test", "bundle": "tiny", "weights_sha256": "123"}
    return {**about, "device": "cpu", "robustness": "grid", "seed": 0, "n_unreadable": 0, "n_unlabelled": 0, **found}


def table_of(logit: np.ndarray, count: int) -> pd.DataFrame:
    prob = CALIBRATION.prob(logit).ravel()
    rows = np.repeat(np.arange(N), count)
    paths = [HOSTILE if row == 1 else f"{row}.jpg" for row in rows]
    columns = {"path": paths, "label": rows % 2, "sha256": "0f" * 32, "prob": prob}
    return pd.DataFrame({**columns, "verdict": CALIBRATION.verdict(prob), "error": None})


@pytest.fixture
def figures() -> dict[str, Any]:
    return figures_of(logits(), CHANGES)


@pytest.fixture
def context(tmp_path: Path, figures: dict[str, Any]) -> RobustnessContext:
    picture = write_picture(tmp_path / "picture.jpg", 1, width=300, height=200)
    return RobustnessContext(figures, CHANGES, table_of(logits(), 5), lambda _: picture, 10**6, "dfd eval\n  x=<y>")


def test_the_page_is_whole_and_needs_nothing_else(context: RobustnessContext, tmp_path: Path) -> None:
    write_robustness_page(tmp_path / "robustness.html", context)
    page = (tmp_path / "robustness.html").read_text()
    assert "src=" not in page.replace('src="data:', "") and "http-equiv" in page and "<script" not in page
    assert page.count("<svg") == 2 and page.count("<img") == 1 + 3
    for text in ("--accent:", "JPEG, quality 30", "Brightness, factor 1.5", "faces &lt;b&gt;", "x=&lt;y&gt;", "abc"):
        assert text in page
    assert page.count('class="kind worst"') + page.count('class=" worst"') == 1


def test_a_page_without_pictures_or_with_one_change(context: RobustnessContext, tmp_path: Path) -> None:
    gone = RobustnessContext(**{**vars(context), "file": lambda _: tmp_path / "gone.jpg"})
    assert "What it looks like" not in render(gone)
    figures = figures_of(logits()[:, :2], CHANGES[:1])
    one = RobustnessContext(figures, CHANGES[:1], table_of(logits()[:, :2], 2), context.file, 10**6, "")
    assert "after 1 change." in render(one) and "All kinds" not in render(one)


def test_a_page_about_one_class_and_about_nothing(context: RobustnessContext) -> None:
    only_fakes = measure(
        logits(), np.ones(N, int), np.arange(N), _cells(), CALIBRATION, EvaluationConfig(resamples=100)
    )
    assert "no real images" in render(RobustnessContext(**{**vars(context), "figures": context.figures | only_fakes}))
    nothing = measure(
        np.full((N, 5), np.nan), np.arange(N) % 2, np.arange(N), _cells(), CALIBRATION, EvaluationConfig(resamples=100)
    )
    unread = context.predictions.assign(error="empty file", verdict=None, prob=np.nan)
    empty = {**vars(context), "figures": context.figures | nothing, "predictions": unread}
    assert "There is nothing to say" in render(RobustnessContext(**empty))


def _cells() -> list[tuple[str, float]]:
    return [(change.kind, change.strength) for change in CHANGES]


def test_the_example_is_a_found_fake_under_the_hardest_changes(context: RobustnessContext) -> None:
    path, examples = example_versions(context.predictions, CHANGES, 0, context.file, 10**6)
    assert path == HOSTILE  # row 1, the first fake
    names = ["unchanged", "JPEG, quality 30", "Brightness, factor 0.5", "Brightness, factor 1.5"]
    assert [example.name for example in examples] == names
    own = context.predictions.iloc[5:10]
    assert [example.prob for example in examples] == own["prob"].iloc[[0, 2, 3, 4]].tolist()
    assert len({example.picture for example in examples}) == len(examples)
    broken = context.predictions.assign(error="empty file")
    assert example_versions(broken, CHANGES, 0, context.file, 10**6) == ("", [])


def test_the_words_name_the_worst_the_lean_and_what_is_not_shown(figures: dict[str, Any]) -> None:
    text = "\n".join(summary(figures))
    assert "Worst for telling fakes from reals: JPEG, quality 30." in text
    assert "Makes images look fake, whatever they are: Brightness, factor 0.5." in text
    assert "No drop of the AUROC could be shown for: Brightness." in text
    assert "Averaged over 2 kinds of change" in text
    assert any("The worst of 4" in line for line in cautions(figures))
    assert not any("could not be applied" in line for line in cautions(figures))


def test_where_nothing_gets_worse_no_worst_is_named() -> None:
    same = figures_of(logits()[:, [0, 0]], CHANGES[:1])
    assert summary(same)[:2] == [
        "No change lowers the AUROC of these images.",
        "No change makes the verdicts on these images worse.",
    ]


def test_a_cell_has_a_name() -> None:
    assert name_of({"kind": "crop", "strength": 0.75}) == "Crop, share 0.75"


def test_plots_put_the_unchanged_images_where_they_belong(figures: dict[str, Any]) -> None:
    lowest = lowest_of(figures)
    jpeg, brightness = kind_plot(figures, "jpeg", lowest), kind_plot(figures, "brightness", lowest)
    assert jpeg is not None and brightness is not None
    assert jpeg.index(">none<") < jpeg.index(">90<") < jpeg.index(">30<")
    assert brightness.index(">0.5<") < brightness.index(">none<") < brightness.index(">1.5<")
    assert kind_plot(figures, "jpeg", lowest) == jpeg
    lows = [cell[key]["low"] for cell in figures["cells"] for key in ("auroc", "balanced_accuracy")]
    assert lowest <= min(0.48, *lows)


def test_the_table_on_screen_fits_and_tells_all_cells(figures: dict[str, Any]) -> None:
    screen = StringIO()
    print_robustness(Console(file=screen, width=80), figures)
    text = screen.getvalue()
    for name in ("unchanged", "jpeg 90", "jpeg 30", "brightness 0.5", "brightness 1.5"):
        assert any(line.startswith(name) for line in text.splitlines())
    assert "…" not in text and "n = 40" in text and "Worst for the verdicts" in text
