"""What changes do to a detector, in words: shared by the page and the table on screen."""

from collections.abc import Sequence
from typing import Any

from dfd.data.changes import KINDS, Change
from dfd.evaluation.wording import number
from dfd.report.words import percent_interval, signed

Figures = dict[str, Any]  # what `evaluation.robustness.measure` returned, and what it was measured on

NOTABLE_FLIPS = 0.1  # share of images


def name_of(cell: dict[str, Any]) -> str:
    """Such as 'JPEG, quality 90'."""
    return str(Change(cell["kind"], cell["strength"]))


def signed_interval(figure: dict[str, Any]) -> str:
    """The ends of a difference's interval."""
    if figure["value"] is None:
        return str(figure["reason"])
    return f"{signed(figure['low'])} to {signed(figure['high'])}"


def find(figures: Figures, place: dict[str, Any]) -> dict[str, Any]:
    """The cell of a kind and a strength."""
    return next(c for c in figures["cells"] if (c["kind"], c["strength"]) == (place["kind"], place["strength"]))


def summary(figures: Figures) -> list[str]:
    """What the figures say, for a reader who does not know the terms."""
    return [*_worst(figures), *_average(figures), *_harmless(figures["cells"]), *_biases(figures["cells"])]


def cautions(figures: Figures) -> list[str]:
    """What the figures do not say."""
    lines = [
        "Each change is applied by itself, to the images of this data set. They went through changes of their own "
        "before: an image that was saved at a low quality already loses less when it is saved again.",
        "The threshold is the stored one and stays where it is. A drop in balanced accuracy with little drop in AUROC "
        "means that scores moved together: the detector still ranks well, but its verdicts lean to one side.",
    ]
    if len(figures["cells"]) > 1:
        lines.append(
            f"The worst of {len(figures['cells'])} measured values is worse than its truth by a little luck: read it "
            "with its interval."
        )
    if any(cell["n"] < figures["n"] for cell in figures["cells"]):
        lines.append("Some changes could not be applied to all images; n says to how many.")
    return lines


def _worst(figures: Figures) -> list[str]:
    return [*_worst_ranking(figures), *_worst_verdicts(figures)]


def _worst_ranking(figures: Figures) -> list[str]:
    place = figures["worst"]["auroc"]
    if not place:
        return []
    cell = find(figures, place)
    change = cell["auroc_change"]
    if change["value"] >= 0:
        return ["No change lowers the AUROC of these images."]
    sure = "" if change["high"] < 0 else ", which may be chance"
    return [
        f"Worst for telling fakes from reals: {name_of(cell)}. AUROC {number(figures['unchanged']['auroc']['value'])} "
        f"becomes {number(cell['auroc']['value'])}, a change of {signed(change['value'])} "
        f"({signed_interval(change)}){sure}."
    ]


def _worst_verdicts(figures: Figures) -> list[str]:
    place = figures["worst"]["balanced_accuracy"]
    if not place:
        return []
    cell, before = find(figures, place), figures["unchanged"]["balanced_accuracy"]["value"]
    if cell["balanced_accuracy_change"]["value"] >= 0:
        return ["No change makes the verdicts on these images worse."]
    return [
        f"Worst for the verdicts: {name_of(cell)}. Balanced accuracy {number(before)} becomes "
        f"{number(cell['balanced_accuracy']['value'])}; {percent_interval(cell['recall'])} of the fakes and "
        f"{percent_interval(_rest(cell['specificity']))} of the reals are called fake."
    ]


def _average(figures: Figures) -> list[str]:
    flipped = figures["average"]["flipped"]
    if flipped["value"] is None:
        return []
    over = f"Averaged over {len(figures['kinds'])} kinds of change" if len(figures["kinds"]) > 1 else "On average"
    return [f"{over}, {percent_interval(flipped)} of the images are called something else than before."]


def _harmless(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Kinds at whose every strength the AUROC's change may be none, or a gain."""
    known = [cell for cell in cells if cell["auroc_change"]["value"] is not None]
    harmed = {cell["kind"] for cell in known if cell["auroc_change"]["high"] < 0}
    harmless = [KINDS[kind].title for kind in dict.fromkeys(cell["kind"] for cell in known) if kind not in harmed]
    return [f"No drop of the AUROC could be shown for: {', '.join(harmless)}."] if harmless else []


def _biases(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Towards which verdict the images move, where many do."""
    lean: dict[str, list[str]] = {"fake": [], "real": []}
    for cell in cells:
        fakes, reals = cell["flips"]["real_to_fake"], cell["flips"]["fake_to_real"]
        most, least = max(fakes, reals), min(fakes, reals)
        if most > 0 and most >= NOTABLE_FLIPS * cell["n"] and most >= 3 * least:
            lean["fake" if fakes > reals else "real"].append(name_of(cell))
    return [
        f"Makes images look {verdict}, whatever they are: {'; '.join(names)}."
        for verdict, names in lean.items()
        if names
    ]


def _rest(figure: dict[str, Any]) -> dict[str, Any]:
    if figure["value"] is None:
        return figure
    return {"value": 1 - figure["value"], "low": 1 - figure["high"], "high": 1 - figure["low"], "n": figure["n"]}
