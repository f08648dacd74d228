"""Curves of a kind of change: figures over its strengths, as SVG."""

from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from dfd.data.changes import KINDS
from dfd.report.robustness_words import Figures
from dfd.report.svg import ACCENT, FAINT, FAKE, new_axes, to_svg

LINES = (("auroc", ACCENT, "o"), ("balanced_accuracy", FAKE, "s"))  # the page has one key for all plots
UNCHANGED = "none"


def kind_plot(figures: Figures, kind: str, lowest: float) -> Markup | None:
    """AUROC and balanced accuracy over the strengths of `kind`, with bands; the unchanged images as dotted lines.

    The strengths stand at equal distances, mild to hard. The axis begins at `lowest`, so that kinds can be compared.
    None if there is nothing to draw.
    """
    points = _points(figures, kind)
    if not any(point[key]["value"] is not None for _, point in points for key, *_ in LINES):
        return None
    figure, axes = new_axes(4.4, 2.9)
    for line in LINES:
        _draw(axes, points, figures["unchanged"], *line)
    axes.axhline(0.5, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(points)), [name for name, _ in points])
    axes.set(xlabel=KINDS[kind].strength, ylim=(lowest, 1.01), xlim=(-0.35, len(points) - 0.65))
    return to_svg(figure, f"{kind}-plot", _description(figures, kind))


def lowest_of(figures: Figures) -> float:
    """Where the plots' axes begin: below chance and below every interval."""
    ends = [cell[key]["low"] for cell in figures["cells"] for key, *_ in LINES if cell[key]["low"] is not None]
    return max(-0.01, min([0.48, *(end - 0.02 for end in ends)]))


def _points(figures: Figures, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and figures along the axis; the unchanged images stand where the strength that changes nothing is."""
    cells = [cell for cell in figures["cells"] if cell["kind"] == kind]
    about = KINDS[kind]
    first = 0
    if about.harder == "away" and about.neutral is not None:
        first = sum(cell["strength"] < about.neutral for cell in cells)
    named = [(f"{cell['strength']:g}", cell) for cell in cells]
    return [*named[:first], (UNCHANGED, figures["unchanged"]), *named[first:]]


def _draw(
    axes: Axes,
    points: list[tuple[str, dict[str, Any]]],
    unchanged: dict[str, Any],
    key: str,
    color: str,
    marker: str,
) -> None:
    known = [(x, point[key]) for x, (_, point) in enumerate(points) if point[key]["value"] is not None]
    if not known:
        return
    x = [at for at, _ in known]
    axes.fill_between(
        x, [one["low"] for _, one in known], [one["high"] for _, one in known], color=color, alpha=0.15, linewidth=0
    )
    axes.plot(x, [one["value"] for _, one in known], color=color, marker=marker, markersize=4)
    if unchanged[key]["value"] is not None:
        axes.axhline(unchanged[key]["value"], color=color, linewidth=0.9, linestyle=":")


def _description(figures: Figures, kind: str) -> str:
    values = [
        f"{cell['strength']:g}: {cell['auroc']['value']:.3f}"
        for cell in figures["cells"]
        if cell["kind"] == kind and cell["auroc"]["value"] is not None
    ]
    about = KINDS[kind]
    return f"{about.title}: AUROC by {about.strength}: {', '.join(values) or 'unknown'}"
