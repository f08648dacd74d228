"""An audit's figures as a compact table on screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.evaluation.wording import number
from dfd.report.audit_words import LEVELS, Figures, name_of, summary, tale
from dfd.report.words import interval

COLORS = {"clean": "green", "slight": "yellow", "warning": "yellow", "severe": "red", "reference": "dim"}


def print_audit(console: Console, figures: Figures) -> None:
    """Print every set, the conditional figures and what it means."""
    console.print(_sets(figures))
    level = f"{figures['interval']['level']:.0%} intervals; n = {figures['n']:,} in {figures['n_groups']:,} groups"
    if figures["n_unreadable"]:
        level += f"; {figures['n_unreadable']:,} unreadable images left out"
    console.print(Text(level, style="dim"))
    if rows := beyond(figures):
        console.print(_beyond(rows))
    for line in summary(figures):
        console.print(Text(f"• {line}"))


def beyond(figures: Figures) -> list[tuple[str, dict[str, Any]]]:
    """Name and figure of what is known beyond the shortcuts, and of a bundle's counterfactual."""
    rows = [(_given(name), figure) for name, figure in figures["conditional"].items()]
    if bundle := figures["bundle"]:
        name = bundle["name"]
        rows += [
            (f"{name}, images as they are", bundle["before"]),
            (f"{name}, images made alike", bundle["after"]),
            (f"{name} given the shortcuts", bundle["conditional"]),
        ]
    return rows


def _given(name: str) -> str:
    return " given ".join(name_of(part) for part in name.split(" given "))


def _sets(figures: Figures) -> Table:
    table = Table("told by", box=None, pad_edge=False, header_style="bold")
    table.add_column("AUROC", justify="right")
    table.add_column("interval")
    table.add_column("found")
    table.add_column("what differs most")
    for key, each in figures["sets"].items():
        found = Text(LEVELS[each["level"]], style=COLORS[each["level"]])
        most = tale(each["telling"][0]) if each["telling"] and each["level"] != "clean" else ""
        auroc = each["auroc"]
        table.add_row(name_of(key), number(auroc["value"]), Text(interval(auroc), style="dim"), found, Text(most))
    return table


def _beyond(rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table("beyond that", box=None, pad_edge=False, header_style="bold")
    for name in ("AUROC", "interval", "n"):
        table.add_column(name, justify="left" if name == "interval" else "right")
    for name, figure in rows:
        table.add_row(Text(name), number(figure["value"]), Text(interval(figure), style="dim"), str(figure["n"]))
    return table
