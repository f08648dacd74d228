"""The figures as a compact table on screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.evaluation.metrics import NAMES
from dfd.evaluation.wording import number
from dfd.report.words import Figure, interval, percent_interval, printable, threshold

BY_SOURCE = ("accuracy", "auroc")


def print_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Print what `evaluation.metrics.measure` returned: overall, verdicts, then by source."""
    console.print(_overall(metrics))
    console.print(Text(_counts(metrics), style="dim"))
    if metrics["by_source"]:
        console.print(_by_source(metrics["by_source"]))


def _overall(metrics: dict[str, Any]) -> Table:
    table = Table("metric", box=None, pad_edge=False, header_style="bold")
    table.add_column("value", justify="right")
    table.add_column(f"{metrics['interval']['level']:.0%} interval")
    table.add_column("n", justify="right")
    for key, name in NAMES.items():
        table.add_row(name, *_cells(metrics["overall"][key]), str(metrics["overall"][key]["n"]))
    return table


def _counts(metrics: dict[str, Any]) -> str:
    cells, verdicts = metrics["confusion"], metrics["verdicts"]
    parts = [
        f"threshold {threshold(metrics)}: "
        f"{cells['tp']} of {metrics['n_fake']} fakes and {cells['fp']} of {metrics['n_real']} reals called fake"
    ]
    if verdicts["coverage"]["value"] is not None and verdicts["error"]["value"] is not None:
        parts.append(
            f"decided on {percent_interval(verdicts['coverage'])}, wrong on {percent_interval(verdicts['error'])} of it"
        )
    if metrics["n_unreadable"]:
        parts.append(f"{metrics['n_unreadable']} unreadable images left out")
    return "\n".join(parts)


def _by_source(sources: dict[str, Any]) -> Table:
    table = Table("source", "class", box=None, pad_edge=False, header_style="bold")
    table.add_column("n", justify="right")
    for key in BY_SOURCE:
        table.add_column(NAMES[key], justify="right")
        table.add_column("interval")
    for name, source in sources.items():
        cells = [cell for key in BY_SOURCE for cell in _cells(source["metrics"][key])]
        table.add_row(Text(printable(name)), source["label"], str(source["n"]), *cells)
    return table


def _cells(figure: Figure) -> tuple[str, Text]:
    return number(figure["value"]), Text(interval(figure), style="dim")
