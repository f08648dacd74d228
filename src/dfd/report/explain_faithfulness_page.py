"""report.html of `dfd explain --faithfulness`: how far maps can be trusted, on one page that needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dfd import __version__
from dfd.files import write_text
from dfd.report import explain_faithfulness_words, pages
from dfd.report.explain_faithfulness_plots import curve_plot
from dfd.report.explain_faithfulness_words import Figures

UNREADABLE_SHOWN = 200


@dataclass(frozen=True)
class FaithfulnessContext:
    """What the page is made of.

    Attributes:
        figures: what `explain.summary.summarise` returned, and what it was measured on.
        errors: `path` and `error` of images that could not be read.
        command: the command line that made the page.
    """

    figures: Figures
    errors: Sequence[dict[str, str]]
    command: str


def write_faithfulness_page(path: Path, context: FaithfulnessContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: FaithfulnessContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    figures = context.figures
    environment = pages.environment()
    told = ("name_of", "span", "ends", "has_interval")
    environment.globals.update({name: getattr(explain_faithfulness_words, name) for name in told})
    return environment.get_template("explain_faithfulness.html").render(
        title=f"How faithful are maps of {figures['bundle']}?",
        figures=figures,
        summary=explain_faithfulness_words.summary(figures),
        cautions=explain_faithfulness_words.cautions(figures),
        plots=[(name, curve_plot(figures, name)) for name in ("deletion", "insertion")],
        unreadable=context.errors[:UNREADABLE_SHOWN],
        facts=_facts(figures),
        command=context.command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _facts(figures: Figures) -> dict[str, dict[str, str]]:
    return {
        "Measured on": {
            "Data set": figures["data"],
            "Split": figures["split"],
            "Seen in training": "yes, all of them" if figures["seen"] else "no",
            "Fingerprint": figures["fingerprint"],
            "Device": figures["device"],
        },
        "Detector": {"Name": figures["bundle"], "Weights": figures["weights_sha256"][:16]},
        "Maps": {
            "Random draws a map": f"{figures['samples']} (SHAP, LIME)",
            "Seed": str(figures["seed"]),
            "Stand-in for what is taken away": "the picture blurred, with a deviation of 5% of its side",
            "Steps": f"{figures['steps']} of {100 / figures['steps']:.0f}% of the pixels",
        },
    }
