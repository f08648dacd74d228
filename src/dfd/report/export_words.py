"""What the comparison of a graph with its bundle says, in rows and sentences for the page and the screen."""

from typing import Any

from dfd.evaluation.wording import number
from dfd.report.words import percent_interval, signed

Figures = dict[str, Any]
Row = tuple[str, str, str]  # name, value, what it means


def small(value: float) -> str:
    """A difference that may be tiny: two significant digits."""
    return "0" if value == 0 else f"{value:.2g}"


def images(figures: Figures) -> str:
    """What the figures were obtained on."""
    return "images that the bundle has seen" if figures["seen"] else "test images"


def rows(figures: Figures) -> list[Row]:
    """The figures, the decisive ones first."""
    own = figures["own"]
    found = [
        ("Largest |Δ logit|", small(figures["logit"]["max"]), _limit(figures, "fp32", "tolerance")),
        ("Mean |Δ logit|", small(figures["logit"]["mean"]), ""),
        ("Largest of a network", small(figures["network_logit"]["max"]), ""),
        ("Largest |Δ probability|", small(figures["prob"]["max"]), ""),
        (
            "Alone against in a batch",
            small(figures["batch"]["max"]),
            f"largest |Δ logit| of {figures['batch']['n']} images",
        ),
        *_auroc(figures),
        ("Verdicts that change", percent_interval(figures["flips"]), _limit(figures, "other", "flip_tolerance")),
    ]
    if own is not None:
        found.append(("Graph's own logit", small(own["logit"]), "largest |Δ| from what dfd makes of its values"))
        found.append(("Graph's own probability", small(own["prob"]), "likewise"))
    return found


def summary(figures: Figures) -> list[str]:
    """What the figures say, in sentences."""
    lines = [_verdicts(figures)]
    times = figures["inference_ms"]
    gain = times["before"]["median"] / times["after"]["median"]
    lines.append(
        f"An image alone takes {times['after']['median']:.1f} ms instead of {times['before']['median']:.1f} "
        f"({gain:.1f} times as fast), decoding not included, on the machine that made it."
    )
    if figures["left_out"]:
        lines.append(
            f"The graph gives the networks' values alone: {figures['left_out']}. dfd combines them; other programs "
            "would have to."
        )
    return lines


def cautions(figures: Figures) -> list[str]:
    """What the figures do not say."""
    lines = [
        "It is the same detector: this says how alike the two are, and not how good they are. That is what dfd eval "
        "measures.",
        "Another processor, or another version of the engine, rounds otherwise. The graph was compared on this one.",
    ]
    if figures["seen"]:
        lines.append(
            "The bundle was trained or tuned on these images, since it has seen all of the data. AUROC is higher on "
            "them than on others."
        )
    if figures["precision"] != "fp32":
        lines.append(
            f"In {figures['precision']} single probabilities move. Threshold and unsure band are those chosen for the "
            "bundle itself."
        )
    return lines


def _verdicts(figures: Figures) -> str:
    n, count, turned = figures["n"], figures["flips"]["count"], figures["reversed"]
    if not count:
        return f"On {n:,} {images(figures)} the graph gives the same verdicts as the bundle."
    between = f"{turned:,} of them" if turned else "none of them"
    return (
        f"On {n:,} {images(figures)} the graph gives another verdict than the bundle {count:,} "
        f"time{'s' if count > 1 else ''}, {between} between real and fake; the rest is to or from 'unsure'."
    )


def _auroc(figures: Figures) -> list[Row]:
    found = figures["auroc"]
    if found["lost"] is None:
        return [("AUROC", "–", str(found["reason"]))]
    each = found["difference"]
    change = f"{signed(each['value'])} ({signed(each['low'])} to {signed(each['high'])})"
    return [
        ("AUROC before and after", f"{number(found['before'])} and {number(found['after'])}", ""),
        ("Change of AUROC", change, _limit(figures, "other", "auroc_tolerance") or f"paired, {each['method']}"),
    ]


def _limit(figures: Figures, precision: str, key: str) -> str:
    """The tolerance where it decides."""
    decides = (figures["precision"] == "fp32") == (precision == "fp32")
    if not decides or (key == "tolerance" and not figures["continuous"]):
        return ""
    return f"accepted: {key}={figures['tolerances'][key]:g}"
