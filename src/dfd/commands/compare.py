"""dfd compare: finished runs in, leaderboards out. Also called at the end of several runs of another command."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from dfd.commands.provenance import command_line
from dfd.config import CompareConfig
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.evaluation import leaderboard, matrix
from dfd.evaluation.leaderboard import leaderboards
from dfd.evaluation.matrix import cross_matrix
from dfd.evaluation.runs import METRICS, Found, find_runs, is_of_images, read_runs
from dfd.files import write_text
from dfd.report.compare_page import CompareContext, write_compare_page
from dfd.report.compare_table import print_leaderboard, print_matrix
from dfd.report.words import printable

FIGURES, PAGE = "compare.json", "compare.html"
DEFAULT = ["outputs"]


def run(config: CompareConfig, out: Path) -> int:
    """Compare all runs in `config.inputs`. Returns EXIT_PARTIAL if some of them are damaged."""
    if config.inputs == DEFAULT and not Path(DEFAULT[0]).is_dir():
        raise UserError(_nothing_in(config.inputs))
    return compare_runs([Path(each) for each in config.inputs], config, out)


def compare_runs(runs: Sequence[Path], settings: CompareConfig, out: Path | None = None) -> int:
    """Print the leaderboards of the runs at or below these folders; with `out`, also write compare.json and .html.

    A damaged run is named and left out, and the result is EXIT_PARTIAL. Raises UserError if no run can be compared.
    """
    found = read_runs(find_runs(runs))
    if not found.results:
        raise UserError(_none_left(found) if found.damaged else _nothing_in([str(each) for each in runs]))
    print(f"results      {len(found.results)}\n", flush=True)
    context = CompareContext(
        boards=leaderboards(found.results, settings.resamples, settings.seed),
        matrix=cross_matrix(found.results),
        damaged=found.damaged,
        resamples=settings.resamples,
        seed=settings.seed,
        command=command_line(),
    )
    _show(context)
    if out is not None:
        write_compare_page(out / PAGE, context)
        write_text(out / FIGURES, json.dumps(_as_json(context), indent=1, allow_nan=False) + "\n")
        print(f"figures      {out / FIGURES}\npage         {out / PAGE}")
    return EXIT_PARTIAL if found.damaged else EXIT_OK


def after_multirun(runs: Sequence[Path]) -> int:
    """Compare the finished ones among the runs of one call, with those they were made from; nothing for one alone."""
    finished = [run for run in runs if (run / METRICS).is_file() and not is_of_images(run / METRICS)]
    made_from = dict.fromkeys(member for run in finished for member in _members(run) if (member / METRICS).is_file())
    if len(finished) < 2:
        return EXIT_OK
    print()
    return compare_runs([*finished, *made_from], CompareConfig())


def _members(run: Path) -> list[Path]:
    return [Path(member) for member in json.loads((run / METRICS).read_text(encoding="utf-8")).get("members", [])]


def _nothing_in(inputs: Sequence[str]) -> str:
    folders = ", ".join(each.rstrip("/") + "/" for each in inputs)
    return f"no finished runs in {folders}; run `dfd train` first"


def _none_left(found: Found) -> str:
    file, reason = next(iter(found.damaged.items()))
    more = f" (and {len(found.damaged) - 1} more like it)" if len(found.damaged) > 1 else ""
    return f"{file} is damaged: {reason}{more}; there is no other run to compare"


def _show(context: CompareContext) -> None:
    console = Console()
    for board in context.boards:
        print_leaderboard(console, board)
        console.print()
    if context.matrix:
        print_matrix(console, context.matrix)
        console.print()
    for file, reason in context.damaged.items():
        console.print(Text(printable(f"left out     {file} is damaged: {reason}"), style="red"))


def _as_json(context: CompareContext) -> dict[str, Any]:
    return {
        "leaderboards": [leaderboard.as_json(board) for board in context.boards],
        "matrix": matrix.as_json(context.matrix) if context.matrix else None,
        "damaged": {str(file): reason for file, reason in context.damaged.items()},
        "resamples": context.resamples,
        "seed": context.seed,
    }
