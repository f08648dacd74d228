"""From a matplotlib figure to SVG text that lives inside the page: its colours follow the page's, light or dark."""

import re
from io import StringIO
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# matplotlib knows fixed colours only: it draws with these stand-ins, and each becomes a CSS variable of the page.
INK, FAINT, GRID = "#010101", "#020202", "#030303"
REAL, FAKE, UNSURE, ACCENT = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--line",
    REAL: "--real",
    FAKE: "--fake",
    UNSURE: "--unsure",
    ACCENT: "--accent",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read out, found and scaled
    "svg.hashsalt": "dfd",  # the same figure gives the same bytes
    "font.size": 9,
    "figure.facecolor": "none",  # the page shows through
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
}


def new_axes(width: float = 4.4, height: float = 3.3) -> tuple[Figure, Axes]:
    """An empty figure of one panel, in inches, in the page's style; it belongs to no global state."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an <svg> element, safe to put in a page beside others: `name` keeps their ids apart."""
    buffer = StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    size = re.search(r'viewBox="[^"]*"', text)
    opening = f'<svg role="img" aria-label="{escape(description)}" {size.group() if size else ""}>'
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1))
