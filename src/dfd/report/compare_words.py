"""What a comparison says and does not say, in sentences."""

from dfd.evaluation.intervals import LEVEL
from dfd.evaluation.leaderboard import BEST, SAME, WORSE, Leaderboard, Row
from dfd.evaluation.matrix import Cell
from dfd.evaluation.wording import number
from dfd.report.words import percent, signed

FEW_GROUPS = 30
METHODS = {
    True: "AUROC: DeLong’s test; accuracy: McNemar’s exact test. Every image is independent of the others.",
    False: "A bootstrap of groups decides on AUROC and accuracy: images of one group are not independent, and DeLong’s "
    "and McNemar’s tests would take them for that.",
}


def summary(board: Leaderboard) -> list[str]:
    """The leaderboard in a few sentences, for a reader who does not know the terms."""
    first, others = board.rows[0], board.rows[1:]
    if first.result.metrics["overall"]["auroc"]["value"] is None:
        return [f"Nothing can be ranked: {first.note}."]
    lines = [f"{first.name} has the highest AUROC, {_auroc(first)}."]
    if not others:
        return [f"{first.name} has an AUROC of {_auroc(first)}. There is nothing to compare it with."]
    same, worse = ([row for row in others if row.mark == mark] for mark in (SAME, WORSE))
    if same:
        lines.append(f"{_names(same)} can’t be told from it on these images.")
    if worse:
        lines.append(f"{_names(worse)} {'is' if len(worse) == 1 else 'are'} worse than it by more than chance.")
    return lines


def _auroc(row: Row) -> str:
    figure = row.result.metrics["overall"]["auroc"]
    return f"{number(figure['value'])} ({figure['low']:.3f} to {figure['high']:.3f})"


def _names(rows: list[Row]) -> str:
    names = [row.name for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def method(board: Leaderboard) -> str:
    """Which tests decided, in words."""
    few = [row.result.metrics.get("n_groups", {}) for row in board.rows]
    fewest = min((count for counts in few for count in counts.values()), default=FEW_GROUPS)
    told = METHODS[board.independent]
    if fewest < FEW_GROUPS:
        told += f" The smaller class has {fewest} independent images or groups of images: take all of it as rough."
    return told


def cautions() -> list[str]:
    """What a leaderboard does not say."""
    return [
        f"‘{SAME.capitalize()}’ does not mean equal: these images can’t tell. The interval of the difference shows how "
        "large it may be.",
        f"The ‘{BEST}’ of many is so partly by luck, and its AUROC a little too high. The more often a test split "
        "decides what is used, the less it is one: choose on validation or out-of-fold rows, and measure once.",
        f"The {LEVEL:.0%} intervals show how much chance there is in which images were measured. They do not cover "
        "another training run with another seed, nor other sources.",
    ]


def difference(row: Row) -> tuple[str, str]:
    """The difference of AUROC to the best, and its interval; dashes where there is none."""
    if row.against is None:
        return "–", ""
    found = row.against.auroc
    return signed(found.value), f"{signed(found.low)} to {signed(found.high)}"


def worst_source(cell: Cell) -> str:
    """Such as 'stylegan (fake): 62% right'; empty where there is but one source."""
    if cell.worst is None:
        return ""
    name, source = cell.worst
    return f"{name} ({source['label']}): {percent(source['metrics']['accuracy']['value'])} right"


def left_out(cell: Cell) -> str:
    """A note on images that the detector was trained on; empty if there are none."""
    if not cell.left_out:
        return ""
    return f"{cell.left_out} image{'s' if cell.left_out != 1 else ''} left out: it was trained on them"
