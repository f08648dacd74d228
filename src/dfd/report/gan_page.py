"""The page of a GAN's training: samples, curves and what they mean, on one page that needs no other file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from dfd import __version__
from dfd.files import write_text
from dfd.report import gan_pictures, gan_words, pages
from dfd.report.gan_plots import draw_all
from dfd.report.gan_words import Course

OPEN = 20  # ticks; a longer table is folded


@dataclass(frozen=True)
class GanContext:
    """What the page is made of.

    Attributes:
        title: of the page.
        history: one row a tick; see `gan_words.COLUMNS`. Columns other than `tick` may be missing or hold NaN.
        best_tick: whose generator was kept, the one with the smallest fd.
        label: name of the figure fd, such as FID or FD(network).
        pictures: folder of what `dfd.training.gan_watch` drew; what is missing there is not shown.
        facts: what the run was obtained on: headings with their entries.
        command: the command line of the run.
        target: value of r_t that the augmentation was steered to; None: it was not steered.
        n: samples that a tick's figures are of.
    """

    title: str
    history: pd.DataFrame
    best_tick: int
    label: str
    pictures: Path
    facts: dict[str, dict[str, str]]
    command: str
    target: float | None = None
    n: int | None = None


def write_gan_page(path: Path, context: GanContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: GanContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    run = gan_words.course(context.history, context.best_tick, context.label, context.target, context.n)
    kimg = run.kept["kimg"]
    folder = context.pictures
    samples, strips = (
        (None, None) if pd.isna(kimg) else (gan_pictures.file_of(folder, kind, kimg) for kind in ("samples", "strips"))
    )
    environment = pages.environment()
    environment.globals.update(value_of=gan_words.value_of)
    return environment.get_template("gan.html").render(
        title=context.title,
        run=run,
        cards=_cards(run),
        summary=gan_words.summary(run),
        cautions=gan_words.cautions(run),
        samples=samples and gan_pictures.half_grid(samples),
        reals=gan_pictures.half_grid(folder / "reals.png"),
        strips=strips and gan_pictures.strips(strips),
        over_time=gan_pictures.over_time(folder, run.ticks, run.best),
        plots=draw_all(run),
        columns=_columns(run),
        folded=len(run.ticks) > OPEN,
        facts=context.facts,
        command=context.command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _cards(run: Course) -> list[tuple[str, str, str]]:
    """Title, figure and note of the headline."""
    kept, last = run.kept, run.ticks["p"].dropna()
    found = [
        (run.label, "fd", kept["fd"], "lower is better"),
        (run.kid, "kid", kept["kid"], "lower is better"),
        ("Diversity", "diversity", kept["diversity"], "1 is as varied as the reals"),
        ("Augmentation p", "p", last.iloc[-1] if len(last) else float("nan"), "at the end of the training"),
    ]
    return [(title, gan_words.value_of(key, value), note) for title, key, value, note in found if not pd.isna(value)]


def _columns(run: Course) -> dict[str, str]:
    """The table's columns that are not empty, and their headings, short enough for a narrow column."""
    headings = {
        "kimg": "kimg",
        "fd": run.label.partition("(")[0],
        "kid": run.kid.partition("(")[0],
        "diversity": "Diversity",
        "p": "p",
        "r_t": "r_t",
        "loss_d": "Loss D",
        "loss_g": "Loss G",
        "r1": "R1",
        "path_length": "Path length",
        "images_per_s": "Images/s",
    }
    return {key: heading for key, heading in headings.items() if run.ticks[key].notna().any()}
