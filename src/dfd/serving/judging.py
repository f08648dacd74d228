"""The engine over a batch of prepared images: all the numbers of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dfd.inference.engine import Engine
from dfd.models.bundle import EnsembleBundle
from dfd.runtime import Runtime


@dataclass(frozen=True)
class Answer:
    """What the bundle says of one image: the engine's row [width], and the numbers for people."""

    values: np.ndarray
    logit: float
    prob: float
    verdict: str
    members: list[dict[str, Any]]


class Judge:
    """Answers for batches of inputs uint8 [3, h, w], as `engine.joint` makes them, channels first."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self.engine, self._runtime = engine, runtime

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[Answer]:
        """One answer an image."""
        engine, own = self.engine, self.engine.bundle.calibration
        values = self._values(np.stack(inputs))
        logits = engine.logits(values)
        probs = np.asarray(own.prob(logits))
        verdicts = own.verdict(probs)
        members = self._members(values)
        return [
            Answer(values[row], float(logits[row]), float(probs[row]), str(verdicts[row]), members[row])
            for row in range(len(inputs))
        ]

    def warm(self) -> None:
        """A pass over nothing much: the first one takes long, and should be nobody's."""
        sides = [form.size for form in self.engine.joint.each]
        shape = (3, sides[0], sides[0]) if len(sides) == 1 else (3, 1, sum(side**2 for side in sides))
        self._values(np.zeros((1, *shape), np.uint8))

    def _values(self, batch: np.ndarray) -> np.ndarray:
        # The outer autocast, switched off, keeps the weights that inner ones have cast.
        with torch.inference_mode(), torch.autocast(self._runtime.device.type, enabled=False):
            return self.engine(torch.from_numpy(batch).to(self._runtime.device)).float().cpu().numpy()

    def _members(self, values: np.ndarray) -> list[list[dict[str, Any]]]:
        """For each image one entry a member of an ensemble; none for a single network."""
        bundle = self.engine.bundle
        rows: list[list[dict[str, Any]]] = [[] for _ in values]
        if not isinstance(bundle, EnsembleBundle):
            return rows
        for member, logits in zip(bundle.members, self.engine.member_logits(values).T, strict=True):
            probs = np.asarray(member.calibration.prob(logits))
            verdicts = member.calibration.verdict(probs)
            for row, own in enumerate(rows):
                told = {"prob": float(probs[row]), "logit": float(logits[row]), "verdict": str(verdicts[row])}
                own.append({"name": member.name, **told})
        return rows
