"""video.html: a video's verdict over its time, on one page that needs no other file and no network."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from dfd import __version__
from dfd.config import VideoConfig
from dfd.data.names import to_text
from dfd.files import write_text
from dfd.report import pages, video_words
from dfd.report.video_plots import timeline_plot
from dfd.video.score import ScoredVideo

SHOWN = 6  # pictures of the highest and of the lowest frames
ROWS_SHOWN = 500


@dataclass(frozen=True)
class VideoContext:
    """What the page is made of.

    Attributes:
        video: what was found.
        config: which frames were looked at, and how their scores became one.
        threshold: the bundle's threshold.
        unsure_band: the bundle's (unsure_low, unsure_high).
        bundle: name of the bundle.
        weights: what names its content; see `models.bundle.Bundle.sha256`.
        device: what ran the networks.
        command: the command line that made the page.
    """

    video: ScoredVideo
    config: VideoConfig
    threshold: float
    unsure_band: tuple[float, float]
    bundle: str
    weights: str
    device: str
    command: str


def write_video_page(path: Path, context: VideoContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: VideoContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    video = context.video
    environment = pages.environment()
    environment.globals.update(at=video_words.at)
    return environment.get_template("video.html").render(
        title=to_text(video.path.name),
        video=video,
        summary=video_words.summary(video),
        cautions=video_words.cautions(video, context.config),
        plot=timeline_plot(video, context.threshold, context.unsure_band),
        threshold=context.threshold,
        band=context.unsure_band,
        galleries=_galleries(video),
        rows=video.frames.head(ROWS_SHOWN).to_dict("records"),
        facts=_facts(context),
        command=context.command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _galleries(video: ScoredVideo) -> dict[str, list[dict[str, Any]]]:
    """The highest frames, highest first, and of the others the lowest, lowest first."""
    scored = video.frames[video.frames["error"].isna()]
    highest = scored.nlargest(SHOWN, "logit")
    lowest = scored.drop(highest.index).nsmallest(SHOWN, "logit")
    found = {"Highest scores": highest, "Lowest scores": lowest}
    return {title: _with_pictures(rows, video) for title, rows in found.items() if len(rows)}


def _with_pictures(rows: pd.DataFrame, video: ScoredVideo) -> list[dict[str, Any]]:
    return [
        {**row, "picture": f"data:image/jpeg;base64,{b64encode(video.pictures[place] or b'').decode('ascii')}"}
        for place, row in zip(rows.index, rows.to_dict("records"), strict=True)
    ]


def _facts(context: VideoContext) -> dict[str, dict[str, str]]:
    return {
        "File": {"Path": to_text(context.video.path), **video_words.about(context.video.facts)},
        "Verdict": video_words.how(context.config),
        "Detector": {
            "Name": context.bundle,
            "Weights": context.weights[:16],
            "Threshold": f"{context.threshold:.4f}, as stored",
            "Unsure band": "{:.4f} to {:.4f}, as stored".format(*context.unsure_band),
            "Device": context.device,
        },
    }
