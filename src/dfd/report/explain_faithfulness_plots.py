"""Mean deletion and insertion curves of methods and random maps, as SVG."""

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import PercentFormatter

from dfd.report.explain_faithfulness_words import Figures, name_of
from dfd.report.svg import ACCENT, FAINT, FAKE, INK, REAL, UNSURE, new_axes, to_svg

LINES = ((ACCENT, "-"), (FAKE, "-"), (REAL, "-"), (INK, "-"), (ACCENT, "--"), (FAKE, "--"))
RANDOM = {"random_smooth": (FAINT, ":"), "random_noise": (UNSURE, "-.")}


def curve_plot(figures: Figures, name: str) -> Markup:
    """Mean probability of the answer over the share of pixels; `name` is 'deletion' or 'insertion'."""
    figure, axes = new_axes(4.8, 3.5)
    styles = {**dict(zip(figures["methods"], LINES, strict=False)), **RANDOM}
    share = np.linspace(0, 1, figures["steps"] + 1)
    areas = []
    for key, (color, line) in styles.items():
        values = figures["curves"][key][f"{name}_curve"]
        axes.plot(share, values, color=color, linestyle=line, label=name_of(key))
        areas.append(f"{name_of(key)} {np.trapezoid(values, share):.3f}")
    done = "blurred" if name == "deletion" else "brought back"
    axes.set(xlabel=f"Pixels {done}, the map’s highest first", ylabel="Probability of the answer", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return to_svg(figure, f"{name}-plot", f"{name} curves; areas under them: {', '.join(areas)}")
