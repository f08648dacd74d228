"""The comparison of a graph with its bundle as a compact table on screen."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.report.export_words import images, rows, summary
from dfd.report.words import printable


def print_export(console: Console, figures: dict[str, Any]) -> None:
    """Print the figures and what they mean."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("")
    for name, value, note in rows(figures):
        table.add_row(Text(name), Text(value), Text(note, style="dim"))
    console.print(table)
    counted = f"{figures['n']:,} {images(figures)}, {figures['data']} ({figures['fingerprint']})"
    if figures["n_unreadable"]:
        counted += f"; {figures['n_unreadable']} could not be read"
    console.print(Text(printable(counted), style="dim"))
    for line in summary(figures):
        console.print(Text(f"• {printable(line)}"))
