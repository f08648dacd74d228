"""report.html of an audit: what tells the label without a look at the forgery, on one page that needs no other file."""

from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from dfd import __version__
from dfd.evaluation.wording import number
from dfd.files import write_text
from dfd.report import audit_words, pages
from dfd.report.audit_table import beyond
from dfd.report.audit_words import Figures
from dfd.report.svg import ACCENT, FAINT, FAKE, INK, UNSURE, new_axes, to_svg

UNREADABLE_SHOWN = 200
COLORS = {"clean": FAINT, "slight": UNSURE, "warning": ACCENT, "severe": FAKE, "reference": FAINT}


def write_audit_page(path: Path, figures: Figures, command: str) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(figures, command))


def render(figures: Figures, command: str) -> str:
    """The page as HTML, from what `dfd data audit` writes to audit.json. All text in it is escaped."""
    environment = pages.environment()
    environment.globals.update(name_of=audit_words.name_of, tale=audit_words.tale, levels=audit_words.LEVELS)
    return environment.get_template("audit.html").render(
        title=f"Audit of {figures['data']}",
        figures=figures,
        summary=audit_words.summary(figures),
        cautions=audit_words.cautions(figures),
        plot=_plot(figures),
        beyond=beyond(figures),
        unreadable=figures["unreadable"][:UNREADABLE_SHOWN],
        facts=_facts(figures),
        command=command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _plot(figures: Figures) -> Markup:
    """AUROC of every set with its interval, one below the other; the dotted line is guessing."""
    sets = list(figures["sets"].items())[::-1]
    figure, axes = new_axes(6.4, 0.6 + 0.27 * len(sets))
    axes.axvline(0.5, color=FAINT, linewidth=0.9, linestyle=":")
    for row, (_, each) in enumerate(sets):
        auroc, color = each["auroc"], COLORS[each["level"]]
        axes.plot([auroc["low"], auroc["high"]], [row, row], color=color, linewidth=2.2, alpha=0.55)
        axes.plot(auroc["value"], row, "o", color=color, markersize=5)
    axes.set_yticks(range(len(sets)), [audit_words.name_of(key) for key, _ in sets], color=INK)
    lowest = min(0.4, *(each["auroc"]["low"] for _, each in sets))
    axes.set(xlabel="AUROC: dotted is guessing, 1 tells every fake", xlim=(lowest - 0.01, 1.01))
    axes.grid(axis="y", visible=False)
    told = ", ".join(f"{audit_words.name_of(key)} {number(each['auroc']['value'])}" for key, each in sets[::-1])
    return to_svg(figure, "sets-plot", f"AUROC of each set: {told}")


def _facts(figures: Figures) -> dict[str, dict[str, str]]:
    found = {
        "Measured on": {
            "Data set": figures["data"],
            "Fingerprint": figures["fingerprint"],
            "Images": f"{figures['n']:,} of all splits, in {figures['n_groups']:,} groups",
            "Device": figures["device"],
        },
        "Method": {
            "Folds": f"{figures['folds']}, no group in two; seed {figures['seed']}",
            "Classifiers": "logistic regression; averaged with boosted trees but for the encoder's features",
            "Strata": f"{figures['strata']} of the nuisance score, for what is beyond it",
        },
    }
    if encoder := figures["encoder"]:
        found["Encoder"] = {
            "Name": encoder["name"],
            "Backbone": encoder["backbone"],
            "Weights": encoder.get("weights") or "not at hand",
        }
    if bundle := figures["bundle"]:
        left_out = f"; {bundle['seen_left_out']:,} left out that it was trained on" if bundle["seen_left_out"] else ""
        found["Detector"] = {
            "Name": bundle["name"],
            "Content": bundle["sha256"],
            "Images": f"{bundle['before']['n']:,} ({bundle['split']}){left_out}",
            "Made alike": f"{bundle['side']} px squares, JPEG quality {bundle['quality']}",
        }
    return found
