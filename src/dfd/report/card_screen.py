"""The verdict card on the terminal. Nothing of a stranger's file is obeyed as markup or as an escape code."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dfd.cards.card import Card
from dfd.cards.words import share
from dfd.report.card_words import LEADS, MARKS, bands, size
from dfd.report.verdicts import COLORS
from dfd.report.words import printable

SCALE = 50  # characters of the bar
SHADES = {"real": "─", "unsure": "┄", "fake": "━"}


def print_card(console: Console, card: Card, *, brief: bool = False) -> None:
    """Print the card; `brief` leaves out the copies one by one, and what a verdict means."""
    file = card.file
    console.print(Text(printable(file.name), style="bold"))
    console.print(Text(f"{file.format}, {file.width} × {file.height}, {size(file.bytes)}", style="dim"))
    console.print()
    console.print(_verdict(card))
    console.print(_scale(card))
    console.print(_list([*card.reasons]))
    if card.members:
        console.print(_members(card))
    console.print(Text("") if brief else _copies(card))
    console.print(Text("What the file tells (does not enter the verdict)", style="bold"))
    console.print(_findings(card))
    if brief:
        return
    console.print(Text("\nWhat it means, and what it does not", style="bold"))
    console.print(_list([*card.words], style="dim"))


def _verdict(card: Card) -> Text:
    color = COLORS[card.verdict]
    return Text.assemble(
        (f"{MARKS[card.verdict]} {card.verdict.upper()}", f"bold {color}"),
        f"   P(fake) {share(card.score.prob)}   {LEADS[card.verdict]}",
    )


def _scale(card: Card) -> Text:
    """A line from 0 to 100% in the bands' shades, with the probability on it."""
    place = min(SCALE - 1, int(card.score.prob * SCALE))
    found = Text("  0% ")
    for at in range(SCALE):
        verdict = next(band.verdict for band in bands(card) if (at + 0.5) / SCALE < band.high or band.high == 1)
        mark = "●" if at == place else SHADES[verdict]
        found.append(mark, style="bold" if at == place else COLORS[verdict])
    return found.append(" 100%\n")


def _members(card: Card) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("detector", overflow="fold")
    table.add_column("P(fake)", justify="right")
    table.add_column("verdict")
    for member in card.members:
        table.add_row(Text(printable(member.name)), share(member.prob), _named(member.verdict))
    return Group(Text(""), Padding(table, (0, 0, 0, 2)))


def _copies(card: Card) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("the picture", overflow="fold")
    table.add_column("P(fake)", justify="right")
    table.add_column("verdict")
    table.add_row("as it is", share(card.score.prob), _named(card.score.verdict))
    for copy in card.stability.copies:
        table.add_row(copy.words, share(copy.prob), _named(copy.verdict))
    return Group(Text(""), Padding(table, (0, 0, 0, 2)), Text(""))


def _findings(card: Card) -> Group:
    styles = {"strong": "bold red", "notable": "yellow", "plain": ""}
    lines = [(each.words, styles[each.level]) for each in card.evidence.findings]
    lines += [(f"A part of the file could not be read: {reason}", "yellow") for reason in card.evidence.failed]
    return Group(*[_item(words, style) for words, style in lines])


def _list(lines: list[str], style: str = "") -> Group:
    return Group(*[_item(line, style) for line in lines])


def _item(line: str, style: str) -> Table:
    """A line with its mark; what wraps is indented."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("  •", style="dim"), Text(printable(line), style=style))
    return grid


def _named(verdict: str) -> Text:
    return Text(verdict, style=COLORS[verdict])
