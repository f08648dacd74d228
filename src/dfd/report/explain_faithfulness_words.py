"""What a faithfulness test found, in words: shared by the page and the table on screen."""

from typing import Any

from dfd.report.explain_words import NAMES
from dfd.report.words import interval, percent, percent_interval, signed

Figures = dict[str, Any]  # what `explain.summary.summarise` returned, and what it was measured on
FLOORS = {
    "random_smooth": "Random, smooth",
    "random_noise": "Random, noise",
    "middle": "Middle of the face",
    "area": "Area",
}
SIDES = {"more often than": 1, "less often than": -1}
FEW_GROUPS = 30
CHANGED = 0.5  # a rank correlation above it: a good part of the map needs no trained weights


def name_of(key: str) -> str:
    """A method or a floor, for people."""
    return NAMES.get(key) or FLOORS[key]


def has_interval(figure: dict[str, Any]) -> bool:
    """Whether anything may follow from a figure; see `explain.summary`."""
    return figure["low"] is not None


def ends(figure: dict[str, Any]) -> str:
    """The ends of the interval of a figure, or the reason why there is none."""
    return interval(figure) if has_interval(figure) else str(figure["reason"])


def share(figure: dict[str, Any]) -> str:
    """A share with its interval if it has one; a dash when it is unknown."""
    if has_interval(figure):
        return percent_interval(figure)
    return "–" if figure["value"] is None else percent(figure["value"])


def span(figure: dict[str, Any]) -> str:
    """The ends of the interval of a difference, or the reason why there is none."""
    if not has_interval(figure):
        return str(figure["reason"])
    return f"{signed(figure['low'])} to {signed(figure['high'])}"


def better(figures: Figures, method: str, floor: str) -> list[str]:
    """Of 'deletion' and 'insertion', those in which the method beats a floor with its whole interval."""
    found = figures["methods"][method]["against"][floor]
    signs = {"deletion": -1, "insertion": 1}  # deletion is better when lower
    return [name for name, sign in signs.items() if _beyond(found[name], sign)]


def summary(figures: Figures) -> list[str]:
    """What the figures say, for a reader who does not know the terms."""
    lines = [_against_smooth(figures, method) for method in figures["methods"]]
    lines += [line for method in figures["methods"] for line in _forgetful(figures, method)]
    if pointing := figures["pointing"]:
        lines += [_pointing(pointing["all fakes"], method) for method in figures["methods"]]
    return lines


def cautions(figures: Figures) -> list[str]:
    """What the figures do not say."""
    lines = [
        "A faithful map shows what this detector’s answer hangs on. Whether the answer is right is another matter.",
        "The figures are means over these images: a single map can be wrong where the mean is right.",
        "Blurring makes pictures that the detector has never seen. What it says of them is part of every curve, for "
        "the methods and for the random maps alike.",
        "SHAP and LIME ask about superpixels that are blurred, which is near to what deletion and insertion ask: these "
        "two tests favour them. Pointing and the shuffled weights do not.",
    ]
    lines += _few(figures)
    if figures["seen"]:
        lines.append(
            "The detector was trained or tuned on all of these images. On others its answers may hang on other things."
        )
    if figures["pointing"]:
        lines.append(
            "Pointing uses boxes where eyes, nose and mouth usually lie in this data set, the same for all pictures. A "
            "face that lies elsewhere counts as missed, for the methods and for the floors alike."
        )
    return lines


def _few(figures: Figures) -> list[str]:
    """Cautions where there are few independent images."""
    lines = []
    if (fewest := min(figures["n_groups"].values())) < FEW_GROUPS:
        lines.append(f"Few images: the smaller class has {fewest} independent ones. Take the intervals as rough.")
    fakes = figures["pointing"]["all fakes"]["n_groups"]["fake"] if figures["pointing"] else FEW_GROUPS
    if fakes < FEW_GROUPS:
        lines.append(f"Few fakes with known parts: {fakes} independent ones. Take the intervals of pointing as rough.")
    return lines


def _against_smooth(figures: Figures, method: str) -> str:
    wins = better(figures, method, "random_smooth")
    name = NAMES[method]
    if len(wins) == 2:
        return f"{name}: the answer follows its maps better than smooth random maps, in deletion and in insertion."
    if wins:
        lacking = "insertion" if wins[0] == "deletion" else "deletion"
        return f"{name}: better than smooth random maps in {wins[0]}, and not surely so in {lacking}."
    return f"{name}: not surely better than smooth random maps. Do not read its maps as reasons."


def _forgetful(figures: Figures, method: str) -> list[str]:
    found = figures["methods"][method]["alike"]["all"]
    if found["value"] is None:
        return []
    told = (
        f"{NAMES[method]}: its maps have a rank correlation of {signed(found['value'])} ({span(found)}) with those of "
        "a network with shuffled weights"
    )
    if has_interval(found) and found["low"] > CHANGED:
        return [f"{told}. Much of what they show was never learnt."]
    if has_interval(found) and found["high"] < CHANGED:
        return [f"{told}: they depend on what was learnt."]
    return [f"{told}. Whether they depend on what was learnt is not sure."]


def _pointing(found: dict[str, Any], method: str) -> str:
    hits = found["hits"][method]
    if hits["value"] is None:
        return f"{NAMES[method]}: too few fakes with known parts to say where it points."
    chance = ", ".join(
        f"{percent(found['chance'][key]['value'])} {words}"
        for key, words in (
            ("area", "by area"),
            ("random_smooth", "for smooth random maps"),
            ("middle", "for the middle of the face"),
        )
    )
    return (
        f"{NAMES[method]}: the highest place lies in a replaced part in {share(hits)} of {found['n']} "
        f"fakes; chance gives {chance}. {_sure(found['against'][method])}"
    )


def _sure(against: dict[str, dict[str, Any]]) -> str:
    """Which floors it is beyond or below with the whole interval."""
    names = {key: FLOORS[key].lower() for key in against}
    sides = {word: [names[key] for key in against if _beyond(against[key], sign)] for word, sign in SIDES.items()}
    told = [f"Surely {word} {', '.join(floors)}." for word, floors in sides.items() if floors]
    return " ".join(told) or "Not surely beyond or below any of them."


def _beyond(figure: dict[str, Any], sign: int) -> bool:
    if not has_interval(figure):
        return False
    return figure["low"] > 0 if sign > 0 else figure["high"] < 0
