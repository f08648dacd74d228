"""A card's sentences: why this verdict, and what it does not mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from dfd.cards.stability import Stability, contradicted
from dfd.data.transforms import Joint, Preprocessing
from dfd.evaluation.wording import number, times_in_100
from dfd.evidence.text import clean
from dfd.models.bundle import Bundle

if TYPE_CHECKING:  # the card is made of these sentences
    from dfd.cards.card import Member, Score

RARE = 0.01  # share of fakes for which the sentence on base rates gives an example
FEW = 300  # images; figures from fewer are called rough
NAMED = 3  # copies that are named in a sentence
SQUEEZED = 1.2  # how much longer one side may be than the other before the picture counts as squeezed into a square

MemberKind = Literal["ensemble", "folds", "apart"]  # any; models of a detector's folds; trained on different data
WHO = {"ensemble": "detectors of the ensemble", "folds": "models of the detector's folds"}


def reasons(
    score: "Score",
    verdict: str,
    stability: Stability,
    members: Sequence["Member"],
    seen: bool,
    of: "MemberKind" = "ensemble",
) -> tuple[str, ...]:
    """Why the verdict is what it is, the most important first. `of` says what the members are: see `MemberKind`."""
    found = [_against_bands(score), _copies(score, verdict, stability)]
    if members:
        found.append(_asked_alone(members) if of == "apart" else _agreement(members, WHO[of]))
    if seen:
        found.append(
            "This very file is one of those that the detector was trained or tuned on: its answer here is from memory, "
            "and says nothing about how it does on new pictures."
        )
    return tuple(sentence for sentence in found if sentence)


def meaning(bundle: Bundle, score: "Score", size: tuple[int, int], joint: Joint) -> tuple[str, ...]:
    """What the result means and does not mean; `size` is width and height of the picture."""
    data = clean(bundle.data.get("name", "its own data"))
    return (
        f"The probability is calibrated on one collection of pictures ({data}): of those that got about "
        f"{share(score.prob)} there, that share were fakes. It presumes that fakes are as frequent as in it.",
        _base_rate(score.prob),
        _measured(bundle, data),
        "Photographs from other cameras and platforms, other ways of faking and newer generators can mislead it, and "
        "it has no way of noticing. A picture that was faked in a way it never saw can look real to it.",
        *_looked_at(size, joint),
        "It judges pictures of faces. Whether there is a face in this one was not checked.",
        "The verdict comes from the pixels alone. What the file says about itself stands beside it: such entries can "
        "be removed and forged, and finding none proves nothing.",
        "A verdict is a hint where to look closer, not a proof. Ask for the original file, and for its source.",
    )


def share(prob: float) -> str:
    """A probability for people, such as '87%'; only a certain one is 0% or 100%."""
    percent = 100 * prob
    if percent >= 99.95:
        return "more than 99.9%"
    if percent < 0.05:
        return "less than 0.1%"
    return f"{percent:.1f}%" if percent < 10 or percent > 90 else f"{percent:.0f}%"


def _against_bands(score: "Score") -> str:
    found = f"The probability of a fake is {share(score.prob)}"
    if score.verdict == "fake":
        return f"{found}; from {share(score.unsure_high)} on, this detector says fake."
    if score.verdict == "real":
        return f"{found}; below {share(score.unsure_low)}, this detector says real."
    return (
        f"{found}, between {share(score.unsure_low)} and {share(score.unsure_high)}, where this detector is wrong too "
        "often to decide."
    )


def _copies(score: "Score", verdict: str, stability: Stability) -> str:
    total = len(stability.copies)
    span = f"{share(stability.lowest)} to {share(stability.highest)}"
    if not total:
        return ""
    if not stability.flips:
        return f"All {total} copies, saved again or resized, get the same verdict ({span})."
    others = [copy for copy in stability.copies if copy.verdict != score.verdict]
    others.sort(key=lambda copy: copy.verdict == "unsure")  # the opposite verdict is the stronger reason
    named = "; ".join(f"{copy.words}: {copy.verdict}" for copy in others[:NAMED])
    more = f"; and {len(others) - NAMED} more" if len(others) > NAMED else ""
    counted = f"{stability.flips} of {total} copies get another verdict ({named}{more}; {span})"
    if contradicted(stability) and score.verdict != verdict:
        return (
            f"On the picture as it is, the answer was {score.verdict}. But {counted}. A verdict that saving the "
            "picture again takes back is not worth much, so it is unsure."
        )
    return f"{counted}."


def _agreement(members: Sequence["Member"], who: str) -> str:
    counts = {name: sum(member.verdict == name for member in members) for name in ("fake", "unsure", "real")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if len(members) in counts.values():
        return f"All {len(members)} {who} agree."
    return f"The {len(members)} {who} disagree: {told}."


def _asked_alone(members: Sequence["Member"]) -> str:
    """Members that were trained on different data need not agree: one that finds its kind may be enough."""
    said = {
        verdict: [clean(member.name) for member in members if member.verdict == verdict]
        for verdict in ("fake", "unsure", "real")
    }
    told = "; ".join(f"{' and '.join(names)}: {verdict}" for verdict, names in said.items() if names)
    return f"The {len(members)} detectors, which were trained on different data, say, each asked alone: {told}."


def _base_rate(prob: float) -> str:
    odds = prob / (1 - prob) if prob < 1 else float("inf")
    rare = 1.0 if odds == float("inf") else odds * RARE / (1 - RARE + odds * RARE)
    return (
        f"Where fakes are rarer, the same picture is less likely one. An example: had half of that collection been "
        f"fakes, and were it 1 in 100 where this picture comes from, {share(prob)} would become {share(rare)}."
    )


def _measured(bundle: Bundle, data: str) -> str:
    auroc, n = bundle.metrics.get("auroc"), bundle.metrics.get("n")
    if not isinstance(auroc, int | float):
        return f"How well the detector does on {data} is not in its bundle; measure it with dfd eval."
    images = f"{n:,} images of {data}" if isinstance(n, int) else f"images of {data}"
    split = str(bundle.metrics.get("split"))
    kind = {
        "oof": ", each by a model that had not seen it (the detector that judges here learnt from all of them)",
        "val": " that it was tuned on",
    }.get(split, "")
    times = times_in_100(auroc)
    about = "" if " " in times else "about "
    rough = " Few images: take the figure as rough." if isinstance(n, int) and n < FEW else ""
    return (
        f"Measured on {images}{kind}: shown one fake and one real picture, it gave the fake the higher score "
        f"{about}{times} times in 100 (AUROC {number(auroc)}). Elsewhere it can do far worse.{rough}"
    )


def _looked_at(size: tuple[int, int], joint: Joint) -> list[str]:
    """How the picture's size and the networks' fit together, where that costs something."""
    width, height = size
    picture = f"The picture ({width} × {height} pixels)"
    found = []
    largest = max(form.size for form in joint.each)
    fits = {form.fit for form in joint.each}
    if min(size) < largest:
        found.append(
            f"{picture} is smaller than what the detector looks at ({largest} × {largest}): it was enlarged, or "
            "mirrored at its borders. There is less in it to tell by than in a larger one."
        )
    if (
        max((side for fit, side in (("resize", max(size)), ("square", min(size))) if fit in fits), default=0)
        > 2 * largest
    ):
        found.append(
            f"{picture} was shrunk to {largest} × {largest} for the detector: traces finer than that can't be seen by "
            "it, and a small face in a large picture hardly either."
        )
    if "resize" in fits and max(size) > SQUEEZED * min(size):
        found.append(
            f"{picture} was squeezed into a square for the detector: a face in it looks "
            f"{'narrower' if width > height else 'wider'} to it than to you."
        )
    shares = [_share_seen(size, form) for form in joint.each]
    if min(shares) < 1:
        who = "The detector looks" if max(shares) < 1 else "Parts of the detector look"
        found.append(f"{who} at the middle of the picture alone: {share(min(shares))} of it.")
    return found


def _shrunk_side(size: tuple[int, int], fits: set[str]) -> int:
    """The longest side in pixels that is resized to a network's input; 0 if nothing is."""
    return max(size) if "resize" in fits else min(size) if "square" in fits else 0


def _share_seen(size: tuple[int, int], form: Preprocessing) -> float:
    """The share of the picture's area that a network is shown."""
    side = {"crop": form.size, "square": min(size)}.get(form.fit, max(size))
    return min(side, size[0]) * min(side, size[1]) / (size[0] * size[1])
