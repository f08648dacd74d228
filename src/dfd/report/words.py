"""Figures and file names as text: shared by the page and the table on screen."""

from pathlib import Path
from typing import Any

from dfd.evaluation.intervals import LEVEL
from dfd.evaluation.leaderboard import SIGNIFICANT
from dfd.evaluation.wording import number, of_100, times_in_100

Figure = dict[str, Any]  # {"value", "low", "high", "n", ...}, see evaluation.metrics.measure

MEANINGS = {
    "auroc": "Chance that a random fake scores higher than a random real. 0.5 is guessing.",
    "ap": "Area under the precision–recall curve. Guessing gives the share of fakes.",
    "eer": "Error rate at the threshold where reals and fakes are mistaken equally often. Lower is better.",
    "tpr_at_fpr_1": "Share of fakes found at a threshold that mistakes at most 1% of reals.",
    "tpr_at_fpr_5": "Share of fakes found at a threshold that mistakes at most 5% of reals.",
    "accuracy": "Share of right answers at the threshold.",
    "balanced_accuracy": "Mean of recall and specificity: accuracy if both classes were equally frequent.",
    "precision": "Share of fakes among the images called fake. Depends on how frequent fakes are.",
    "recall": "Share of fakes that are called fake.",
    "specificity": "Share of reals that are called real.",
    "f1": "Harmonic mean of precision and recall.",
    "brier": "Mean squared distance between probability and truth. Lower is better; always saying 0.5 gives 0.25.",
    "ece": "Mean gap between probability and share of fakes, over 15 equal bins. Lower is better.",
}


def printable(text: object) -> str:
    """Any text on one line, safe to show and to encode: what cannot be printed becomes a backslash escape.

    File names may hold line breaks, control characters, direction marks and halves of surrogate pairs.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def which(folder: Path | str, named: str | None) -> str:
    """A folder that a command works with, and whether it was taken since none was named."""
    return f"{printable(folder)}{'' if named else ' (the newest)'}"


def signed(value: float) -> str:
    """A difference with its sign and three decimals; a real minus, and no sign at zero."""
    text = f"{abs(value):.3f}"
    if text == "0.000":
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def p_value(p: float) -> str:
    """A p-value with three decimals, and never as an exact 0."""
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def split_name(split: str) -> str:
    """A split for people: 'test', 'val', or out-of-fold."""
    return {"oof": "out-of-fold"}.get(split, split)


def interval(figure: Figure) -> str:
    """The interval's ends, or the reason why there is none."""
    if figure["value"] is None:
        return str(figure["reason"])
    return f"{figure['low']:.3f} – {figure['high']:.3f}"


def threshold(metrics: dict[str, Any]) -> str:
    """The threshold, or the mean and the ends of those that the rows were judged by."""
    if "threshold_low" not in metrics:
        return number(metrics["threshold"])
    ends = (metrics["threshold_low"], metrics["threshold_high"])
    return f"{number(metrics['threshold'])} (by fold: {number(ends[0])} – {number(ends[1])})"


def against_best_member(found: dict[str, Any]) -> str:
    """An ensemble against its best member, from what metrics.json has under this name."""
    if "reason" in found:
        return f"{found['member']}: can't be compared, {found['reason']}"
    auroc = found["differences"]["auroc"]
    p = p_value(auroc["p"])
    verdict = "no real difference"
    if auroc["p"] < SIGNIFICANT:
        verdict = "the ensemble beats it" if auroc["value"] > 0 else "the ensemble is worse than it"
    return (
        f"{found['member']}: AUROC {signed(auroc['value'])} ({signed(auroc['low'])} to {signed(auroc['high'])}), "
        f"p {'' if p.startswith('<') else '= '}{p} ({auroc['method']}, n = {found['n']}): {verdict}"
    )


def percent(value: float) -> str:
    """A share as a percentage: no decimals from 10% to 90%, one beyond. Only an exact 1 or 0 is shown as one."""
    return f"{of_100(value, _decimals(value))}%"


def percent_interval(figure: Figure) -> str:
    """Share and interval with the same decimals, such as '79% (72% to 85%)'."""
    ends = (figure["value"], figure["low"], figure["high"])
    decimals = max(_decimals(end) for end in ends)
    value, low, high = (f"{of_100(end, decimals)}%" for end in ends)
    return f"{value} ({low} to {high})"


def _decimals(share: float) -> int:
    return 0 if 0.1 <= share <= 0.9 or share in (0, 1) else 1


def summary(metrics: dict[str, Any]) -> list[str]:
    """What the figures say, in sentences for a reader who does not know the terms."""
    overall = metrics["overall"]
    lines = []
    if overall["auroc"]["value"] is not None:
        times = times_in_100(overall["auroc"]["value"])
        about = "" if " " in times else "about "  # not before 'more than'
        lines.append(f"Shown one fake and one real image, it scores the fake higher {about}{times} times in 100.")
    if overall["recall"]["value"] is not None:
        lines.append(f"At its threshold it calls {percent_interval(overall['recall'])} of the fakes fake.")
    if overall["specificity"]["value"] is not None:
        wrong = _opposite(overall["specificity"])
        lines.append(f"It also calls {percent_interval(wrong)} of the real images fake.")
    coverage, error = metrics["verdicts"]["coverage"], metrics["verdicts"]["error"]
    if coverage["value"] is not None and error["value"] is not None:
        lines.append(
            f"With the 'unsure' verdict in use it decides on {percent_interval(coverage)} of the images, "
            f"and {percent_interval(error)} of those verdicts are wrong."
        )
    return lines


def cautions(metrics: dict[str, Any]) -> list[str]:
    """What the figures do not say."""
    lines = [
        "The figures hold for images like these: the same sources, editing and compression. Generators, cameras and "
        "re-encodings that are not in the data can do far worse.",
        f"The {LEVEL:.0%} intervals show how much chance there is in which images were tested. They do not cover new "
        "sources, nor another training run with another seed.",
    ]
    rare = fakes_among_called_fake(metrics, share=0.01)
    if rare is not None:
        lines.append(
            f"The rarer fakes are, the more of its alarms are false. Were 1 image in 100 fake, {_between(*rare)} of "
            "the alarms at its threshold would be right, by the intervals of recall and specificity."
        )
    if tuned := tuned_on(metrics):
        lines.insert(0, tuned)
    fewest = min(metrics["n_groups"].values())
    if 0 < fewest < 30:
        lines.append(f"Few images: the smaller class has {fewest} independent ones. Take the intervals as rough.")
    lines.append("A verdict is a hint to look closer, not a proof.")
    return lines


def tuned_on(metrics: dict[str, Any]) -> str:
    """What to make of figures of images that the detector was tuned on; nothing if there are none."""
    if not metrics.get("tuned_on"):
        return ""
    return (
        f"The detector's epoch, calibration, threshold and unsure band were chosen on {metrics['tuned_on']:,} of these "
        "images: the figures are better than those of new images."
    )


def fakes_among_called_fake(metrics: dict[str, Any], share: float) -> tuple[float, float] | None:
    """The precision at the low and at the high ends of recall and specificity if `share` of the images were fake.

    None if one of the two is unknown, or nothing was called fake. No false alarm among a few hundred reals would give a
    precision of 1, however rare fakes are: so it is not told without its range.
    """
    recall, specificity = metrics["overall"]["recall"], metrics["overall"]["specificity"]
    if recall["value"] is None or specificity["value"] is None or not recall["value"] + (1 - specificity["value"]):
        return None
    return _precision(recall["low"], specificity["low"], share), _precision(recall["high"], specificity["high"], share)


def _precision(recall: float, specificity: float, share: float) -> float:
    right, wrong = recall * share, (1 - specificity) * (1 - share)
    return right / (right + wrong) if right else 0.0


def _between(low: float, high: float) -> str:
    least, most = percent(low), percent(high)
    return least if least == most else f"between {least} and {most}"


def _opposite(figure: Figure) -> Figure:
    return {"value": 1 - figure["value"], "low": 1 - figure["high"], "high": 1 - figure["low"], "n": figure["n"]}
