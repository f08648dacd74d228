"""compare.html: leaderboards and the cross-data-set matrix on one page, which needs no other file and no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from dfd import __version__
from dfd.evaluation.leaderboard import BEST, BETTER, SAME, WORSE, Leaderboard
from dfd.evaluation.matrix import Matrix
from dfd.evaluation.metrics import NAMES
from dfd.evaluation.runs import SHOWN
from dfd.files import write_text
from dfd.report import compare_words, pages, words
from dfd.report.plots import forest_plot

CLASSES = {BEST: "best", SAME: "same", WORSE: "worse", BETTER: "better"}


@dataclass(frozen=True)
class CompareContext:
    """What the page is made of.

    Attributes:
        boards: the leaderboards.
        matrix: the cross-data-set matrix, or None.
        damaged: files of runs that could not be read, and why.
        resamples: how often groups were drawn.
        seed: of the bootstrap.
        command: the command line that made the page.
    """

    boards: Sequence[Leaderboard]
    matrix: Matrix | None
    damaged: dict[Path, str]
    resamples: int
    seed: int
    command: str


def write_compare_page(path: Path, context: CompareContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: CompareContext) -> str:
    """The page as HTML. All text in it is escaped."""
    environment = pages.environment()
    environment.globals.update(
        difference=compare_words.difference,
        worst_source=compare_words.worst_source,
        left_out=compare_words.left_out,
    )
    results = sum(len(board.rows) for board in context.boards)
    return environment.get_template("compare.html").render(
        title=f"Comparison of {results} result{'s' if results != 1 else ''}",
        boards=[
            (board, compare_words.summary(board), compare_words.method(board), _forest(board, number))
            for number, board in enumerate(context.boards)
        ],
        matrix=context.matrix,
        figures={key: NAMES[key] for key in SHOWN},
        meanings=words.MEANINGS,
        classes=CLASSES,
        damaged=context.damaged,
        cautions=compare_words.cautions(),
        resamples=context.resamples,
        seed=context.seed,
        command=context.command,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _forest(board: Leaderboard, number: int) -> Markup | None:
    """The plot of a leaderboard; None where fewer than two detectors have an AUROC."""
    rows = [(row.name, row.result.metrics["overall"]["auroc"]) for row in board.rows]
    known = [(name, f["value"], f["low"], f["high"]) for name, f in rows if f["value"] is not None]
    return forest_plot(known, str(number)) if len(known) > 1 else None
