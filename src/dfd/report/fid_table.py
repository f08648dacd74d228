"""The figures of `dfd eval fid=…` as a compact table on screen."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.report.fid_words import Figures, few, interval_of, rows, summary, value_of

UNREADABLE_SHOWN = 20


def print_fid(console: Console, figures: Figures) -> None:
    """Print every figure, what could not be read, and what it means."""
    table = Table("figure", box=None, pad_edge=False, header_style="bold")
    table.add_column("value", justify="right")
    table.add_column(f"{figures['level']:.0%} interval")
    table.add_column("n", justify="right")
    for kind, name, figure, _ in rows(figures):
        interval = Text(interval_of(kind, figure), style="dim")
        table.add_row(Text(name), value_of(kind, figure), interval, f"{figure['n']:,}")
    console.print(table)
    made = (
        f"{figures['n_real']:,} reals, {figures['n_fake']:,} samples, {figures['resolution']} px ({figures['filter']})"
    )
    console.print(Text(made, style="dim"))
    for each in figures["unreadable"][:UNREADABLE_SHOWN]:
        console.print(Text(f"left out     {each['path']}: {each['error']}", style="red"))
    if len(figures["unreadable"]) > UNREADABLE_SHOWN:
        console.print(Text(f"             and {len(figures['unreadable']) - UNREADABLE_SHOWN:,} more", style="red"))
    if warning := few(figures):
        console.print(Text(f"Few images. {warning}", style="yellow"))
    for line in summary(figures):
        console.print(Text(f"• {line}"))
