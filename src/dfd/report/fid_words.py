"""Distances between sets of images in words: shared by the page and the table on screen."""

from typing import Any

from dfd.evaluation.leaderboard import SIGNIFICANT
from dfd.report.words import p_value, percent, percent_interval

Figures = dict[str, Any]  # what `evaluation.distances.measure` returned, and what it was measured on

USUAL = 2048  # images; with fewer, Inception's features have no covariance of full rank
VARIED = (0.9, 1.1)  # of the reals' diversity: about as varied


def value_of(key: str, figure: dict[str, Any]) -> str:
    """A figure with the decimals that it deserves, or a dash."""
    return "–" if figure["value"] is None else _shown(key, figure["value"])


def interval_of(key: str, figure: dict[str, Any]) -> str:
    """The ends of its interval, or the reason why there is none."""
    if figure["value"] is None:
        return str(figure["reason"])
    return f"{_shown(key, figure['low'])} – {_shown(key, figure['high'])}"


def kid_name(figures: Figures) -> str:
    """KID, if its features are Inception's with the published weights, or else what it is."""
    label = figures["label"]
    return "KID" if label == "FID" else label.replace("FD(", "KD(", 1)


def rows(figures: Figures) -> list[tuple[str, str, dict[str, Any], str]]:
    """Kind, name, figure and note of all that is reported, for tables."""
    label, kid, floor, like = figures["label"], kid_name(figures), figures["floor"], figures["like"]
    size, short = floor["fd"]["n"], (label.partition("(")[0], kid.partition("(")[0])
    memory = figures["memorisation"]
    found = [
        ("fd", label, figures["fd"], "0 is the same; larger with few images"),
        ("kid", kid, figures["kid"], "0 is the same, whatever the number of images"),
        ("fd", f"{short[0]} of {size:,} samples", like["fd"], f"against {size:,} reals"),
        ("fd", f"{short[0]} floor", floor["fd"], f"two halves of the reals, {size:,} each"),
        ("kid", f"{short[1]} floor", floor["kid"], "the same halves"),
        ("ratio", "Diversity", figures["diversity"], "of the samples over that of the reals"),
        (
            "share",
            "Very close to training",
            memory["very_close"],
            f"{percent(memory['expected'])} of held-out reals are",
        ),
        ("ratio", "Closer than held-out reals", memory["closer"], "chance; 0.5 is no difference"),
    ]
    if beside := memory["to_training"]:
        note = f"of samples very close to a real; {percent(beside['expected'])} by chance"
        found.append(("share", "Nearest is a training image", beside, note))
    return found


def few(figures: Figures) -> str | None:
    """The warning that a distance was measured on too few images."""
    fewest = min(figures["n_real"], figures["n_fake"])
    if fewest > max(figures["width"], USUAL):
        return None
    return (
        f"The smaller set has {fewest:,}, and the features are {figures['width']:,} wide, so the covariance is "
        f"{'not of full rank' if fewest <= figures['width'] else 'rough'}. {figures['label']} is then far above what "
        "it would be on many. Compare it only with figures of the same numbers of images."
    )


def summary(figures: Figures) -> list[str]:
    """What the figures say."""
    return [*_floor(figures), *_diversity(figures), *_memory(figures)]


def cautions(figures: Figures) -> list[str]:
    """What the figures do not say."""
    label = figures["label"]
    lines = [
        f"{label} grows as images get fewer. The floor of {figures['floor']['fd']['n']:,} images compares with the "
        f"figure of as many samples, and not with that of all. {kid_name(figures)} does not depend on their number."
    ]
    if label != "FID":
        lines.append(f"This is no FID: {label} compares with {label} of the same weights alone.")
    lines += [
        f"All images were brought to {figures['resolution']} pixels ({figures['filter']}) first. Another size or "
        "filter gives another figure, and so do JPEG files where the others are not.",
        "The intervals cover the chance in which images were drawn, and not another training of the generator.",
        "Samples that are less varied than the reals lie closer to all of them, and also to training images, without "
        "being copies of any.",
        "A distance of sets says nothing about a single image. Copies are told by the features of one network: a "
        "mirrored or recoloured copy may escape it.",
    ]
    return lines


def _floor(figures: Figures) -> list[str]:
    floor, like = figures["floor"], figures["like"]
    if floor["fd"]["value"] is None:
        return []
    size = floor["fd"]["n"]
    lines = [
        f"{size:,} samples are at a {figures['label']} of {value_of('fd', like['fd'])} from as many reals; "
        f"two halves of the reals are at {value_of('fd', floor['fd'])} from each other."
    ]
    kid = figures["kid"]
    if kid["value"] is not None:
        told = "the sets differ" if kid["low"] > 0 else "no difference of the sets could be shown"
        lines.append(f"{kid_name(figures)} {value_of('kid', kid)} ({interval_of('kid', kid)}): {told}.")
    return lines


def _diversity(figures: Figures) -> list[str]:
    figure = figures["diversity"]
    if figure["value"] is None:
        return []
    told = f"diversity {value_of('ratio', figure)} ({interval_of('ratio', figure)})"
    least, most = VARIED
    if figure["high"] < least:
        return [f"The samples are less varied than the reals: {told}."]
    if figure["low"] > most:
        return [f"The samples are more varied than the reals, which may be noise: {told}."]
    if least <= figure["low"] and figure["high"] <= most:
        return [f"The samples are about as varied as the reals: {told}."]
    return [f"Whether the samples are as varied as the reals can't be told: {told}."]


def _memory(figures: Figures) -> list[str]:
    memory = figures["memorisation"]
    told = f"{percent_interval(memory['very_close'])} of the samples are very close to a training image"
    told += f", as {percent(memory['expected'])} of held-out reals are ({_p(memory['p'])})"
    if memory["p"] >= SIGNIFICANT:
        return [f"{told}: no sign of copies."]
    beside = memory["to_training"]
    if beside is None:
        return [
            f"{told}. Without held-out reals, copies can't be told from a lack of variety: look at the closest pairs."
        ]
    nearest = (
        f"Of {beside['n']:,} samples very close to any real image, {percent(beside['value'])} have a training image as "
        f"the nearest, where chance gives {percent(beside['expected'])} ({_p(beside['p'])})"
    )
    if beside["p"] >= SIGNIFICANT:
        return [f"{told}.", f"{nearest}: they lack variety rather than being copies."]
    return [f"{told}.", f"{nearest}: some may be copies. Look at the closest pairs."]


def _p(value: float) -> str:
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _shown(key: str, value: float) -> str:
    text = {"fd": f"{abs(value):,.2f}", "kid": f"{abs(value):.5f}", "ratio": f"{abs(value):.3f}"}.get(key)
    if text is None:
        return percent(value)
    return f"−{text}" if value < 0 and float(text.replace(",", "")) else text
