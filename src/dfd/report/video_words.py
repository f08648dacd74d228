"""What a video's scores mean, in words: shared by the page and the screen."""

from typing import Any

import numpy as np

from dfd.config import VideoConfig
from dfd.video.score import ScoredVideo
from dfd.video.verdict import CAUTION, longest_fake, rule


def at(seconds: float) -> str:
    """A time in a video: 0:07.2, 12:30.0 or 1:02:03.5."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(max(0, tenths), 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest / 10:04.1f}" if not hours else f"{hours}:{minutes:02}:{rest / 10:04.1f}"
    return f"−{at(-seconds)}" if tenths < 0 else text


def headline(video: ScoredVideo) -> str:
    """The verdict and its probability, or why there is none."""
    if video.error is not None or video.verdict.verdict is None:
        return f"no verdict: {video.error}"
    return f"{video.verdict.verdict}, probability of fake {video.verdict.prob:.3f}"


def summary(video: ScoredVideo) -> list[str]:
    """What was seen, in sentences."""
    table, verdict = video.frames, video.verdict
    scored = int(table["error"].isna().sum())
    told = [f"{scored} of {len(table)} frames scored{_spread_of(verdict.shares)}."]
    if verdict.reason:
        told.append(f"Unsure, because {verdict.reason}.")
    if span := longest_fake(table["time"].to_numpy(np.float64), list(table["verdict"])):
        told.append(f"The longest run of frames called fake goes from {at(span[0])} to {at(span[1])}.")
    failed = table["error"].dropna().value_counts()
    if len(failed):
        told.append("Not scored: " + ", ".join(f"{n} {reason}" for reason, n in failed.items()) + ".")
    return told


def cautions(video: ScoredVideo, config: VideoConfig) -> list[str]:
    """What to keep in mind."""
    told = [f"{note[0].upper()}{note[1:]}." for note in video.notes]
    if len(video.frames) < video.facts.get("frames", 0):
        told.append(
            f"{len(video.frames)} of {video.facts['frames']} frames were looked at: a fake between two of them is not "
            "seen."
        )
    told.append(CAUTION)
    if config.faces is None:
        told.append("Whole frames were scored, not faces cut out of them: a small face has little say (video.faces).")
    return told


def how(config: VideoConfig) -> dict[str, str]:
    """Names and values of what decides the verdict."""
    spread = f"{config.frames} spread evenly over the time"
    scenes = f", and the first of each scene, at most {config.frames}" if config.sampling == "scenes" else ""
    return {
        "Frames": spread + scenes,
        "Looked at": "whole frames" if config.faces is None else "the largest face of each frame",
        "Rule": rule(config.aggregate),
    }


def about(facts: dict[str, Any]) -> dict[str, str]:
    """What the file is."""
    rate = f", {facts['fps']:.4g} frames a second" if facts["fps"] else ""
    return {
        "Duration": f"{at(facts['duration'])} (min:s), {facts['frames']} frames{rate}",
        "Stored as": f"{facts['width']} × {facts['height']} pixels, {facts['codec']} in {facts['format']}",
    }


def _spread_of(shares: dict[str, float]) -> str:
    if not shares:
        return ""
    return ": " + ", ".join(f"{share:.0%} {name}" for name, share in shares.items())
