"""The verdict card: all that can be said about one picture, as data. `docs/verdict-card.md` has the schema."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from dfd.cards import words
from dfd.cards.copies import words_of
from dfd.cards.picture import Picture, open_picture
from dfd.cards.stability import Copy, Stability, settle
from dfd.data.changes import Pixels
from dfd.data.decode import UnusableImage
from dfd.ensemble.combiners import NoisyOr
from dfd.evidence.evidence import Evidence
from dfd.inference.engine import Engine
from dfd.models.bundle import Bundle, EnsembleBundle
from dfd.runtime import Runtime

VERSION = 1


@dataclass(frozen=True)
class File:
    """What was judged; `width` and `height` in pixels, upright."""

    name: str
    bytes: int
    sha256: str
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Score:
    """The bundle's answer on the picture as it is; `verdict` is the one before the copies are looked at."""

    prob: float
    logit: float
    threshold: float
    unsure_low: float
    unsure_high: float
    verdict: str


@dataclass(frozen=True)
class Member:
    """The answer of one detector of an ensemble, by its own calibration, or of a model of a fold, by that of all."""

    name: str
    prob: float
    logit: float
    verdict: str


@dataclass(frozen=True)
class Card:
    """A picture's verdict, the reasons for it, and what else the file tells.

    `verdict` is final: 'unsure' where the copies contradict `score.verdict`. `bundle` says what judged. `words` are
    sentences on what the result means and does not mean.
    """

    file: File
    verdict: str
    reasons: tuple[str, ...]
    score: Score
    members: tuple[Member, ...]
    stability: Stability
    evidence: Evidence
    bundle: dict[str, Any]
    words: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the keys are stable within a `version`."""
        return {
            "version": VERSION,
            "file": asdict(self.file),
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "score": asdict(self.score),
            "members": [asdict(member) for member in self.members],
            "stability": self.stability.to_dict(),
            "evidence": self.evidence.to_dict(),
            "bundle": self.bundle,
            "words": list(self.words),
        }


def make_card(name: str, data: bytes, engine: Engine, runtime: Runtime, max_pixels: int) -> Card:
    """The card of a file's content; `name` is what people call it. Raises UnusableImage."""
    return make_card_and_pixels(name, data, engine, runtime, max_pixels)[0]


def make_card_and_pixels(
    name: str, data: bytes, engine: Engine, runtime: Runtime, max_pixels: int
) -> tuple[Card, Pixels]:
    """`make_card`, and the picture's pixels uint8 RGB [H, W, 3] for whoever shows it. Raises UnusableImage."""
    picture, pixels = open_picture(name, data, engine.joint, max_pixels)
    return judge(picture, engine, runtime), pixels


def judge(picture: Picture, engine: Engine, runtime: Runtime) -> Card:
    """The card of a prepared picture: one forward pass for it and its copies. Raises UnusableImage without a score."""
    return card_of(picture, _run(engine, picture.inputs, runtime), engine)


def card_of(picture: Picture, values: np.ndarray, engine: Engine) -> Card:
    """The card from the engine's rows [1 + C, width] for `picture.inputs`. Raises UnusableImage without a score."""
    bundle = engine.bundle
    logits = engine.logits(values)
    if not np.isfinite(logits).all():
        raise UnusableImage("no finite score")
    probs = bundle.calibration.prob(logits)
    verdicts = [str(verdict) for verdict in bundle.calibration.verdict(probs)]
    score = _score(bundle, float(logits[0]), float(probs[0]), verdicts[0])
    members = _members(engine, values[:1])
    copies = tuple(
        Copy(change.kind, float(change.strength), words_of(change), float(prob), verdict)
        for change, prob, verdict in zip(picture.changes, probs[1:], verdicts[1:], strict=True)
    )
    stability = Stability.of(score.prob, score.verdict, copies)
    verdict = settle(score.verdict, stability)
    seen = bundle.has_seen(pd.Series([picture.sha256])).item()
    size = (picture.width, picture.height)
    return Card(
        file=File(picture.name, picture.bytes, picture.sha256, picture.format, *size),
        verdict=verdict,
        reasons=words.reasons(score, verdict, stability, members, seen, _kind_of_members(bundle)),
        score=score,
        members=members,
        stability=stability,
        evidence=picture.evidence,
        bundle=_about(bundle),
        words=words.meaning(bundle, score, size, engine.joint),
    )


def _run(engine: Engine, inputs: np.ndarray, runtime: Runtime) -> np.ndarray:
    # The outer autocast, switched off, keeps the weights that inner ones have cast.
    with torch.inference_mode(), torch.autocast(runtime.device.type, enabled=False):
        return engine(torch.from_numpy(inputs).to(runtime.device)).float().cpu().numpy()


def _score(bundle: Bundle, logit: float, prob: float, verdict: str) -> Score:
    own = bundle.calibration
    return Score(prob, logit, float(own.threshold), float(own.unsure_low), float(own.unsure_high), verdict)


def _members(engine: Engine, values: np.ndarray) -> tuple[Member, ...]:
    """One entry a member of an ensemble; none for a single network, which has nobody beside it."""
    bundle = engine.bundle
    if not isinstance(bundle, EnsembleBundle):
        return ()
    found = []
    for member, logit in zip(bundle.members, engine.member_logits(values)[0], strict=True):
        # Models of folds were not calibrated by themselves: their scores are read as those of the whole are.
        calibration = (bundle if _kind_of_members(bundle) == "folds" else member).calibration
        prob = float(calibration.prob(logit))
        found.append(Member(member.name, prob, float(logit), str(calibration.verdict(prob))))
    return tuple(found)


def _kind_of_members(bundle: Bundle) -> words.MemberKind:
    if not isinstance(bundle, EnsembleBundle):
        return "ensemble"
    if bundle.training.get("final") == "average":  # as `dfd train cv.folds=k` has it
        return "folds"
    different = len({member.data["fingerprint"] for member in bundle.members}) > 1
    return "apart" if isinstance(bundle.combiner, NoisyOr) and different else "ensemble"


def _about(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "sha256": bundle.sha256,
        "kind": bundle.kind,
        "data": dict(bundle.data),
        "metrics": dict(bundle.metrics),
    }
