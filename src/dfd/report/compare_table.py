"""Leaderboards and the cross-data-set matrix as tables on screen."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfd.evaluation.leaderboard import BEST, BETTER, SAME, WORSE, Leaderboard, Row
from dfd.evaluation.matrix import Cell, Matrix
from dfd.evaluation.wording import number
from dfd.report import compare_words
from dfd.report.words import Figure, interval, p_value, printable, split_name

FIGURES = {
    "auroc": "AUROC",
    "balanced_accuracy": "bal. acc.",
    "recall": "recall",
    "specificity": "specif.",
    "brier": "Brier",
    "ece": "ECE",
}
WIDTHS = ((0, 1), (90, 2), (140, len(FIGURES)))  # screens of at least so many columns show so many figures
COLORS = {BEST: "green", SAME: "", WORSE: "red", BETTER: "yellow"}
BRIEFLY = {SAME: "no real difference"}
LEGEND = (
    "p: of the difference of AUROC; p acc.: of accuracy, each at its own threshold; both with Holm’s correction, the "
    "intervals without."
)
OWN = (
    "Not bold: other images of a data set that the detector was trained on, told by its fingerprint or its name. "
    "Joined sets count where they share a part, be it the real images alone."
)


def print_leaderboard(console: Console, board: Leaderboard) -> None:
    """Print one leaderboard: a line a detector, with the interval below each figure."""
    shown = max(count for width, count in WIDTHS if console.width >= width)
    keys = list(FIGURES)[:shown]
    compared = len(board.rows) > 1
    table = _table(f"{board.data} {board.fingerprint}, {split_name(board.split)}")
    table.add_column("detector", overflow="fold", min_width=12)
    for name in [*(FIGURES[key] for key in keys), "n", *(("− best", "p", "p acc.") if compared else ())]:
        table.add_column(name, justify="right", no_wrap=True)
    if compared:
        table.add_column("", overflow="fold")
    for row in board.rows:
        table.add_row(*_cells(row, keys), *(_comparison(row) if compared else ()))
    console.print(table)
    notes = [f"{LEGEND} {compare_words.method(board)}"] if compared else []
    for note in [*notes, *(f"{row.name}: {row.note}" for row in board.rows if row.note)]:
        console.print(Text(printable(note), style="dim"))


def _table(title: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left", title_style="bold")
    table.title = Text(printable(title))
    return table


def _cells(row: Row, keys: list[str]) -> list[Text]:
    metrics = row.result.metrics
    figures = [_stacked(number(figure["value"]), _range(figure)) for figure in map(metrics["overall"].get, keys)]
    return [Text(printable(row.name)), *figures, Text(str(metrics["n"]))]


def _range(figure: Figure) -> str:
    """The interval without the spaces that a page has room for."""
    return interval(figure).replace(" – ", "–")


def _comparison(row: Row) -> list[Text]:
    mark = Text(BRIEFLY.get(row.mark, row.mark), style=COLORS.get(row.mark, "yellow"))
    if row.against is None:
        return [Text("–"), Text("–"), Text("–"), mark]
    value, ends = compare_words.difference(row)
    ps = (row.against.p_auroc, row.against.p_accuracy)
    return [_stacked(value, ends.replace(" to ", "…")), *(Text(p_value(p)) for p in ps), mark]


def print_matrix(console: Console, matrix: Matrix) -> None:
    """Print the cross-data-set matrix: AUROC, balanced accuracy at the stored threshold, and the worst source."""
    table = _table("Across data sets: AUROC, balanced accuracy at the stored threshold, worst source")
    table.add_column("detector", overflow="fold")
    table.add_column("trained on", overflow="fold")
    for data, _, split in matrix.columns:
        table.add_column(Text(printable(f"{data}, {split_name(split)}")), overflow="fold")
    for line in matrix.lines:
        trained_on = line.trained_on[0] if line.trained_on else "?"
        cells = [_cell(cell) if cell else Text("–", style="dim") for cell in line.cells]
        table.add_row(Text(printable(line.name)), Text(printable(trained_on)), *cells)
    console.print(table)
    console.print(Text(OWN, style="dim"))


def _cell(cell: Cell) -> Text:
    overall = cell.result.metrics["overall"]
    text = Text(f"AUROC {number(overall['auroc']['value'])}", style="" if cell.own else "bold")
    text.append(f" {interval(overall['auroc'])}", style="dim")
    text.append(f"\nbal. acc. {number(overall['balanced_accuracy']['value'])}")
    for note in (compare_words.worst_source(cell), compare_words.left_out(cell)):
        if note:
            text.append(f"\n{printable(note)}", style="dim")
    return text


def _stacked(value: str, below: str) -> Text:
    return Text(value).append(f"\n{below}", style="dim")
