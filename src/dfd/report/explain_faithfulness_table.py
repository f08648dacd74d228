"""The figures of `dfd explain --faithfulness` as compact tables on screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.evaluation.wording import number
from dfd.report.explain_faithfulness_words import FLOORS, Figures, name_of, share, span, summary
from dfd.report.words import percent, printable, signed


def print_faithfulness(console: Console, figures: Figures) -> None:
    """Print curves, shuffled weights and pointing, then what they mean in words."""
    console.print(_curves(figures))
    console.print(
        Text(
            f"n = {figures['n']}; {figures['interval']['level']:.0%} intervals; lower deletion and higher insertion "
            f"are better; the answer's probability is {number(figures['answer']['value'])}, of the blurred picture "
            f"{number(figures['answer_blurred']['value'])}",
            style="dim",
        )
    )
    if any(found["alike"]["all"]["value"] is not None for found in figures["methods"].values()):
        console.print(_alike(figures))
    if figures["pointing"]:
        console.print(_pointing(figures["pointing"]))
    for line in summary(figures):
        console.print(Text(printable(line)))


def _curves(figures: Figures) -> Table:
    table = Table("maps", box=None, pad_edge=False, header_style="bold")
    for name in ("deletion", "less smooth", "interval", "insertion", "less smooth", "interval"):
        table.add_column(name, justify="left" if name == "interval" else "right")
    for key, found in figures["methods"].items():
        cells: list[str | Text] = []
        for auc in ("deletion", "insertion"):
            apart = found["against"]["random_smooth"][auc]
            cells += [_number(found[auc]), _signed(apart), Text(span(apart), style="dim")]
        table.add_row(name_of(key), *cells)
    for key, found in figures["floors"].items():
        table.add_row(
            name_of(key), _number(found["deletion"]), "", "", _number(found["insertion"]), "", "", style="dim"
        )
    return table


def _alike(figures: Figures) -> Table:
    table = Table("shuffled weights", box=None, pad_edge=False, header_style="bold")
    for name in ("head: rank corr.", "interval", "all layers: rank corr.", "interval", "n"):
        table.add_column(name, justify="left" if name == "interval" else "right")
    for key, found in figures["methods"].items():
        cells: list[str | Text] = []
        for part in ("head", "all"):
            cells += [_signed(found["alike"][part]), Text(span(found["alike"][part]), style="dim")]
        table.add_row(name_of(key), *cells, str(found["alike"]["all"]["n"]))
    return table


def _pointing(groups: dict[str, Any]) -> Table:
    table = Table("peak in a replaced part", box=None, pad_edge=False, header_style="bold")
    first = next(iter(groups.values()))
    table.add_column("n", justify="right")
    for key in first["hits"]:
        table.add_column(name_of(key))
    for key in first["chance"]:
        table.add_column(FLOORS[key], justify="right", style="dim")
    for name, found in groups.items():
        hits = [share(hit) for hit in found["hits"].values()]
        chance = [percent(one["value"]) if one["value"] is not None else "–" for one in found["chance"].values()]
        table.add_row(Text(printable(name)), str(found["n"]), *hits, *chance)
    return table


def _number(figure: dict[str, Any]) -> str:
    return number(figure["value"])


def _signed(figure: dict[str, Any]) -> str:
    return "–" if figure["value"] is None else signed(figure["value"])
