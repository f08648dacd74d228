"""The score of a video over its time."""

import numpy as np
from markupsafe import Markup

from dfd.report.svg import ACCENT, FAINT, FAKE, INK, REAL, UNSURE, new_axes, to_svg
from dfd.report.video_words import at, headline
from dfd.video.score import ScoredVideo

COLORS = {"real": REAL, "unsure": UNSURE, "fake": FAKE}
WIDTH, HEIGHT = 9.6, 3.1
GAP = 3.0  # a line is not drawn over gaps of more than this many times the usual one


def timeline_plot(video: ScoredVideo, threshold: float, unsure_band: tuple[float, float]) -> Markup | None:
    """Probability over time with the bands of the bundle; None if no frame was scored."""
    table = video.frames
    scored = table[table["error"].isna()]
    if not len(scored):
        return None
    figure, axes = new_axes(WIDTH, HEIGHT)
    low, high = unsure_band
    for name, bounds in (("real", (0, low)), ("unsure", (low, high)), ("fake", (high, 1))):
        if bounds[1] > bounds[0]:
            axes.axhspan(*bounds, color=COLORS[name], alpha=0.1, linewidth=0)
    axes.axhline(threshold, color=FAINT, linewidth=0.8, linestyle="--")
    for time in table.loc[table["scene"], "time"]:
        axes.axvline(time, color=FAINT, linewidth=0.6, linestyle=":")
    time, prob = scored["time"].to_numpy(), scored["prob"].to_numpy()
    axes.plot(*_broken(time, prob), color=ACCENT, linewidth=1, alpha=0.6)
    for name, color in COLORS.items():
        rows = (scored["verdict"] == name).to_numpy()
        axes.plot(time[rows], prob[rows], "o", color=color, markersize=4.5)
    failed = table.loc[table["error"].notna(), "time"]
    axes.plot(failed, np.full(len(failed), -0.04), "x", color=INK, markersize=5, clip_on=False)
    end = max(video.facts["duration"], float(table["time"].max()))
    axes.set(
        xlabel="Time (min:s)", ylabel="Probability of fake", ylim=(-0.06, 1.04), xlim=(-0.01 * end, end * 1.01 or 1)
    )
    axes.grid(axis="x", visible=False)  # upright lines are scenes
    axes.xaxis.set_major_formatter(lambda value, _: at(value))
    return to_svg(figure, "timeline-plot", f"Probability of fake over time; {headline(video)}")


def _broken(time: np.ndarray, prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line, broken where frames are missing."""
    gaps = np.diff(time)
    breaks = np.flatnonzero(gaps > GAP * np.median(gaps)) + 1 if len(gaps) else np.empty(0, int)
    return np.insert(time, breaks, np.nan), np.insert(prob, breaks, np.nan)
