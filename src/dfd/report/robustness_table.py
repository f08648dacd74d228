"""The figures of `dfd eval robustness=…` as a compact table on screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.evaluation.wording import number
from dfd.report.robustness_words import Figures, summary
from dfd.report.words import interval, percent, signed


def print_robustness(console: Console, figures: Figures) -> None:
    """Print every cell, then what it means in words."""
    console.print(_cells(figures))
    level = (
        f"{figures['interval']['level']:.0%} intervals; n = {figures['n']}, threshold {number(figures['threshold'])}"
    )
    console.print(Text(level, style="dim"))
    for line in summary(figures):
        console.print(Text(line))


def _cells(figures: Figures) -> Table:
    """Changes go by the names that settings have. Not wider than 80 characters: the other intervals are on the page."""
    table = Table("change", box=None, pad_edge=False, header_style="bold")
    for name in ("AUROC", "interval", "change", "bal.acc", "interval", "flipped"):
        table.add_column(name, justify="left" if name == "interval" else "right")
    before = figures["unchanged"]
    table.add_row("unchanged", *_pair(before["auroc"]), "", *_pair(before["balanced_accuracy"]), "")
    for cell in figures["cells"]:
        worst = {"kind": cell["kind"], "strength": cell["strength"]} == figures["worst"]["auroc"]
        table.add_row(*_row(cell), style="bold" if worst else None)
    return table


def _row(cell: dict[str, Any]) -> list[str | Text]:
    change, flipped = cell["auroc_change"]["value"], cell["flipped"]["value"]
    return [
        f"{cell['kind']} {cell['strength']:g}",
        *_pair(cell["auroc"]),
        "–" if change is None else signed(change),
        *_pair(cell["balanced_accuracy"]),
        "–" if flipped is None else percent(flipped),
    ]


def _pair(figure: dict[str, Any]) -> tuple[str, Text]:
    return number(figure["value"]), Text(interval(figure), style="dim")
