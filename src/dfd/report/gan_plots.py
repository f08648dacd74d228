"""The curves of a GAN's training over kimg, thousands of real images shown, as SVG."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from dfd.report.gan_words import Course, value_of
from dfd.report.svg import ACCENT, FAINT, FAKE, INK, REAL, VARIABLES, new_axes, to_svg

MARKED = 30  # ticks; with more, single ones are not marked
WIDE_RANGE = 8  # times the smallest value, from where a positive curve is drawn on a logarithmic axis

DISCRIMINATOR, GENERATOR = ("discriminator", ACCENT), ("generator", FAKE)


@dataclass(frozen=True)
class Line:
    """A column of the history; `name` stands in the key if there are several."""

    column: str
    name: str
    color: str


@dataclass(frozen=True)
class Panel:
    """One plot: what it shows and how it is read; `level` is a value to compare with."""

    name: str
    title: str
    about: str
    lines: tuple[Line, ...]
    level: float | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawn:
    """A panel as SVG; `key`: name and CSS colour of its lines if there are several."""

    title: str
    about: str
    key: list[tuple[str, str]]
    svg: Markup


def draw_all(run: Course) -> list[Drawn]:
    """All panels that the history can fill."""
    drawn = [_draw(panel, run) for panel in _panels(run)]
    return [each for each in drawn if each is not None]


def _panels(run: Course) -> list[Panel]:
    steered = "" if run.target is None else f" Dashed: the target of r_t, {run.target:g}."
    return [
        Panel("fd", run.label, "Distance to the real images. Lower is better.", (Line("fd", run.label, ACCENT),)),
        Panel(
            "kid", run.kid, "A second distance, unbiased by few samples. Lower is better.", (Line("kid", "", ACCENT),)
        ),
        Panel(
            "diversity",
            "Diversity",
            "How far apart samples are. Dashed: as far as reals. Crosses: mode collapse.",
            (Line("diversity", "", ACCENT),),
            level=1.0,
        ),
        Panel(
            "augmentation",
            "Augmentation",
            f"p: its probability. r_t: how surely training images are told; high when overfitting.{steered}",
            (Line("p", "p", ACCENT), Line("r_t", "r_t", REAL)),
            level=run.target,
            limits=(-0.05, 1.05),
        ),
        Panel(
            "signs",
            "The discriminator’s verdicts",
            "Mean sign of its logits: 1 is all called real, −1 all called generated.",
            (Line("real_sign", "real images", REAL), Line("fake_sign", "samples", FAKE)),
            level=0.0,
            limits=(-1.05, 1.05),
        ),
        Panel(
            "losses",
            "Losses",
            "Each is measured against the other network: only their balance tells something.",
            (Line("loss_d", *DISCRIMINATOR), Line("loss_g", *GENERATOR)),
        ),
        Panel(
            "gradients",
            "Gradient norms",
            "A sudden rise is a sign of instability.",
            (Line("gradient_d", *DISCRIMINATOR), Line("gradient_g", *GENERATOR)),
        ),
        Panel("r1", "R1 penalty", "How steep the discriminator is at real images.", (Line("r1", "", ACCENT),)),
        Panel(
            "path",
            "Path length",
            "How far an image moves with a step in w; it should settle.",
            (Line("path_length", "", FAKE),),
        ),
        Panel("speed", "Speed", "Real images shown a second.", (Line("images_per_s", "", ACCENT),)),
    ]


def _draw(panel: Panel, run: Course) -> Drawn | None:
    ticks = run.ticks.dropna(subset=["kimg"])
    lines = [line for line in panel.lines if ticks[line.column].notna().any()]
    if not lines:
        return None
    figure, axes = new_axes(3.4, 2.2)
    if panel.level is not None:
        axes.axhline(panel.level, color=FAINT, linewidth=0.9, linestyle="--")
    if not np.isnan(run.kept["kimg"]):
        axes.axvline(run.kept["kimg"], color=INK, linewidth=0.9, linestyle=":")
    for line in lines:
        _curve(axes, line, run)
    values = ticks[[line.column for line in lines]].stack()
    if panel.limits is None and panel.level is None and 0 < WIDE_RANGE * values.min() < values.max():
        _logarithmic(axes)
    axes.set(xlabel="kimg", ylim=panel.limits)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    key = [(line.name, f"var({VARIABLES[line.color]})") for line in lines] if len(panel.lines) > 1 else []
    return Drawn(panel.title, panel.about, key, to_svg(figure, f"{panel.name}-plot", _description(panel, lines, run)))


def _curve(axes: Axes, line: Line, run: Course) -> None:
    known = run.ticks[["kimg", line.column]].dropna()
    marker = "o" if len(known) <= MARKED else ""
    axes.plot(known["kimg"], known[line.column], color=line.color, linewidth=1.4, marker=marker, markersize=2.5)
    if line.column == "fd" and run.best in known.index:
        axes.plot(*known.loc[run.best], "o", color=INK, markersize=5)
    if line.column == "diversity":
        collapsed = known[run.ticks["collapsed"][known.index] > 0]
        axes.plot(collapsed["kimg"], collapsed["diversity"], "x", color=FAKE, markersize=6, markeredgewidth=1.6)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _description(panel: Panel, lines: list[Line], run: Course) -> str:
    """Such as 'Losses over kimg; discriminator 1.31 at the first tick, 0.92 at the last, 0.85 at the kept one'."""
    told = []
    for line in lines:
        known = run.ticks[line.column].dropna()
        text = f"{line.name} {value_of(line.column, known.iloc[0])} at the first tick".lstrip()
        text += f", {value_of(line.column, known.iloc[-1])} at the last"
        if run.best in known.index:
            text += f", {value_of(line.column, known[run.best])} at the kept one"
        told.append(text)
    return f"{panel.title} over kimg; {'; '.join(told)}"
