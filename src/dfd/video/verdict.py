"""What the frames of a video say together.

The rule is simple on purpose, and told wherever a verdict is. The frames' logits become one (`AGGREGATES`), and the
bundle's own calibration and bands read it. Then two things make it 'unsure':

* too few frames: less than half of those that were looked at could be scored;
* frames against it: at least a quarter of the scored frames are called the opposite. Not for 'top', which asks whether
  any part of the video is fake, and for which the others are no objection.

The calibration was fitted on single images. The frames of a video are alike and went through a video codec, so its
probability is less certain than that of an image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfd.evaluation.calibration import Calibration

ENOUGH = 0.5  # share of the frames looked at
AGAINST = 0.25  # share of the scored frames
TENTH = 0.1
OPPOSITE = {"fake": "real", "real": "fake"}

Floats = NDArray[np.float64]


def _top(logits: Floats) -> float:
    return float(np.sort(logits)[-math.ceil(TENTH * len(logits)) :].mean())


AGGREGATES: dict[str, tuple[str, Callable[[Floats], float]]] = {
    "mean": ("mean logit of the frames", lambda logits: float(logits.mean())),
    "median": ("median logit of the frames", lambda logits: float(np.median(logits))),
    "top": ("mean logit of the tenth of the frames that score highest", _top),
}


@dataclass(frozen=True)
class Verdict:
    """Of a whole video. `logit` and `prob` are NaN and `verdict` is None when no frame could be scored.

    `reason` says why the verdict is 'unsure' though its probability is not; else it is empty. `shares`: of the scored
    frames, by verdict.
    """

    logit: float
    prob: float
    verdict: str | None
    reason: str
    shares: dict[str, float]


def judge(logits: Floats, calibration: Calibration, aggregate: str) -> Verdict:
    """The verdict of frames' logits [n], NaN for frames that could not be scored; `aggregate`: one of AGGREGATES."""
    scored = logits[np.isfinite(logits)]
    if not len(scored):
        return Verdict(math.nan, math.nan, None, "", {})
    frames = calibration.verdict(calibration.prob(scored))
    shares = {name: float((frames == name).mean()) for name in ("real", "unsure", "fake")}
    logit = AGGREGATES[aggregate][1](scored)
    prob = float(calibration.prob(logit))
    verdict = str(calibration.verdict(prob)[()])
    reason = "" if verdict == "unsure" else _doubt(verdict, shares, len(scored), len(logits), aggregate)
    return Verdict(logit, prob, "unsure" if reason else verdict, reason, shares)


def _doubt(verdict: str, shares: dict[str, float], scored: int, looked_at: int, aggregate: str) -> str:
    if scored < ENOUGH * looked_at:
        return f"only {scored} of {looked_at} frames could be scored"
    opposite = OPPOSITE[verdict]
    if aggregate != "top" and shares[opposite] >= AGAINST:
        share = f"{shares[opposite]:.0%} of them are called {opposite}"
        return f"the frames disagree: together they say {verdict}, but {share}"
    return ""


def rule(aggregate: str) -> str:
    """The rule in one sentence."""
    against = "" if aggregate == "top" else f", or if at least {AGAINST:.0%} of them are called the opposite"
    return (
        f"{AGGREGATES[aggregate][0]}, read by the bundle's own calibration and bands; 'unsure' as well if less than "
        f"{ENOUGH:.0%} of the frames could be scored{against}"
    )


CAUTION = (
    "The calibration was fitted on single images, not on videos and what their codecs do to frames: take the "
    "probability of a video as less certain than that of an image."
)


def longest_fake(times: Floats, verdicts: list[str | None]) -> tuple[float, float] | None:
    """First and last time in seconds of the longest run of frames called fake, of two or more, if there is one.

    Frames that could not be scored don't end a run.
    """
    best: tuple[float, float] | None = None
    start = last = None
    for time, verdict in zip(times, verdicts, strict=True):
        if verdict == "fake":
            start, last = (time if start is None else start), time
            if last > start and (best is None or last - start > best[1] - best[0]):
                best = (float(start), float(last))
        elif verdict is not None:
            start = None
    return best
