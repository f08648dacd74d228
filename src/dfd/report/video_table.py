"""A video's verdict on screen."""

from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfd.config import VideoConfig
from dfd.data.names import to_text
from dfd.evaluation.wording import number
from dfd.report import video_words
from dfd.report.verdicts import COLORS, ROWS_ON_SCREEN, colored, counted, rest
from dfd.report.words import printable
from dfd.video.score import ScoredVideo
from dfd.video.verdict import CAUTION, rule

BAR = 20  # characters


def print_video(video: ScoredVideo, config: VideoConfig) -> None:
    """The frames over time, the verdict, its rule and what to keep in mind."""
    console = Console()
    if len(video.frames):
        console.print(_frames(video.frames))
        if more := rest(len(video.frames)):
            print(more)
    color = COLORS.get(video.verdict.verdict or "", "red")
    name = escape(printable(to_text(video.path)))
    console.print(
        f"\n{name}: [bold {color}]{escape(printable(video_words.headline(video)))}[/]", highlight=False, soft_wrap=True
    )
    if video.facts:
        for line in video_words.summary(video):
            print(line)
        print(f"rule         {rule(config.aggregate)}")
        for line in video_words.cautions(video, config):
            print(f"note         {line}")


def print_videos(table: pd.DataFrame, config: VideoConfig) -> None:
    """One line a video, the rule and what to keep in mind. `table`: see `commands.predict_video`."""
    screen = Table(box=None, pad_edge=False)
    screen.add_column("video", overflow="fold")
    for title in ("verdict", "P(fake)", "frames fake", "remarks"):
        screen.add_column(title)
    for row in table.head(ROWS_ON_SCREEN).to_dict("records"):
        screen.add_row(escape(printable(row["path"])), *_video_cells(row))
    Console().print(screen)
    if more := rest(len(table)):
        print(more)
    print(f"\n{counted(table, 'videos', 'without a verdict')}")
    print(f"rule         {rule(config.aggregate)}\nnote         {CAUTION}")


def _video_cells(row: dict[Any, Any]) -> tuple[str, ...]:
    if isinstance(row["error"], str):
        return "[dim]-[/dim]", "", "", f"[red]{escape(printable(row['error']))}[/red]"
    told = [
        row["reason"],
        row["notes"],
        f"{row['failed']} of {row['frames']} frames not scored" if row["failed"] else None,
    ]
    remarks = "; ".join(text for text in told if isinstance(text, str))
    share = f"{row['share_fake']:.0%} of {row['frames'] - row['failed']}"
    return f"{colored(row['verdict'])}", number(row["prob"]), share, escape(printable(remarks))


def _frames(table: pd.DataFrame) -> Table:
    screen = Table(box=None, pad_edge=False)
    for title in ("time", "frame", "verdict", "P(fake)", ""):
        screen.add_column(title, justify="right" if title in ("time", "frame") else "left")
    for row in table.head(ROWS_ON_SCREEN).to_dict("records"):
        screen.add_row(video_words.at(row["time"]), str(row["frame"]), *_cells(row))
    return screen


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    if isinstance(row["error"], str):
        return "[dim]-[/dim]", "", f"[red]{escape(printable(row['error']))}[/red]"
    color = COLORS[row["verdict"]]
    return colored(row["verdict"]), number(row["prob"]), f"[{color}]{'━' * round(BAR * row['prob'])}[/]"
