"""robustness.html: what changes do to a detector, on one page that needs no other file and no network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from dfd import __version__
from dfd.data.changes import KINDS, Change
from dfd.files import write_text
from dfd.report import pages, robustness_words
from dfd.report.robustness_examples import example_versions
from dfd.report.robustness_plots import kind_plot, lowest_of


@dataclass(frozen=True)
class RobustnessContext:
    """What the page is made of.

    Attributes:
        figures: what `evaluation.robustness.measure` returned, and what it was measured on.
        changes: the changes, in the order of the figures' cells.
        predictions: the table of all versions; see `commands.robustness.score_versions`.
        file: from a path in the table to the file; one image is shown under the changes if it is still there.
        max_pixels: an image with more pixels is not decoded.
        command: the command line that made the page.
    """

    figures: dict[str, Any]
    changes: Sequence[Change]
    predictions: pd.DataFrame
    file: Callable[[str], Path]
    max_pixels: int
    command: str


def write_robustness_page(path: Path, context: RobustnessContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: RobustnessContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    environment = pages.environment()
    environment.globals.update(
        signed_interval=robustness_words.signed_interval,
        name_of=robustness_words.name_of,
    )
    figures = context.figures
    path, examples = example_versions(
        context.predictions, context.changes, figures["seed"], context.file, context.max_pixels
    )
    return environment.get_template("robustness.html").render(
        title=f"{figures['bundle']} after changes",
        figures=figures,
        kinds={kind: KINDS[kind] for kind in figures["kinds"]},
        worst={key: place and robustness_words.find(figures, place) for key, place in figures["worst"].items()},
        summary=robustness_words.summary(figures),
        cautions=robustness_words.cautions(figures),
        plots=_plots(figures),
        example_path=path,
        examples=examples,
        facts=_facts(figures),
        command=context.command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _plots(figures: dict[str, Any]) -> list[tuple[str, str, Markup]]:
    """Title, explanation and SVG of each kind."""
    lowest = lowest_of(figures)
    drawn = [(KINDS[kind].title, KINDS[kind].about, kind_plot(figures, kind, lowest)) for kind in figures["kinds"]]
    return [(title, about, svg) for title, about, svg in drawn if svg is not None]


def _facts(figures: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        "Measured on": {
            "Data set": figures["data"],
            "Split": figures["split"],
            "Fingerprint": figures["fingerprint"],
            "Device": figures["device"],
        },
        "Detector": {
            "Name": figures["bundle"],
            "Weights": figures["weights_sha256"][:16],
            "Threshold": f"{figures['threshold']:.4f}, as stored",
        },
        "Changes": {"Name": figures["robustness"], "Seed of noise": str(figures["seed"])},
    }
