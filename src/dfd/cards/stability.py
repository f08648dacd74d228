"""Whether a verdict survives what pictures go through when they are passed on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Copy:
    """What the detector says of one changed copy; `change` and `strength` as in `data.changes`."""

    change: str
    strength: float
    words: str
    prob: float
    verdict: str


@dataclass(frozen=True)
class Stability:
    """A verdict beside those of the copies.

    `flips` counts the copies with another verdict, `opposite` those among them called fake in place of real or real in
    place of fake; `lowest` and `highest` are the extremes of the probability, the picture's own among them.
    """

    copies: tuple[Copy, ...]
    flips: int
    opposite: int
    lowest: float
    highest: float

    @classmethod
    def of(cls, prob: float, verdict: str, copies: Sequence[Copy]) -> "Stability":
        """From the picture's own answer and those on its copies."""
        probs = [prob, *(copy.prob for copy in copies)]
        others = [copy.verdict for copy in copies if copy.verdict != verdict]
        opposite = 0 if verdict == "unsure" else sum(other != "unsure" for other in others)
        return cls(tuple(copies), len(others), opposite, min(probs), max(probs))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "copies": [asdict(copy) for copy in self.copies]}


def contradicted(stability: Stability) -> bool:
    """Whether the copies take the verdict back: one says the opposite, or most no longer say the same."""
    return stability.opposite > 0 or 2 * stability.flips > len(stability.copies)


def settle(verdict: str, stability: Stability) -> str:
    """The final verdict: 'unsure' in place of one that the copies contradict."""
    return "unsure" if contradicted(stability) else verdict
