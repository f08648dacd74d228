"""Fitted ways of combining: from the members' outputs to one logit an image. How they are fitted: `strategies`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.special import expit, logit

from dfd.ensemble.outputs import Features, Floats, Outputs

SMALLEST = 1e-300  # keeps log-odds of a probability of 0 finite
SMALL_ODDS = -1e-9  # log of a probability so near to 1 that products of odds no longer count


class Combiner(Protocol):
    """A fitted way of combining `size` members."""

    @property
    def kind(self) -> str:
        """Its name on the disk."""

    @property
    def needs_features(self) -> bool:
        """Whether it reads the members' features."""

    @property
    def size(self) -> int:
        """Number of members."""

    def score(self, outputs: Outputs) -> Floats:
        """One logit of 'fake' an image, [n]; 0 is where it is undecided before calibration."""

    def describe(self) -> dict[str, Any]:
        """What was chosen in fitting: numbers and texts for reports."""


@dataclass(frozen=True)
class Mean:
    """The weighted mean of the members' probabilities or log-odds; `weights` [M] sum to 1."""

    kind: ClassVar[str] = "mean"
    needs_features: ClassVar[bool] = False
    weights: tuple[float, ...]
    space: str

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.weights)

    def score(self, outputs: Outputs) -> Floats:
        """See `Combiner`."""
        weights = np.array(self.weights)
        if self.space == "logit":
            return outputs.logits @ weights
        return log_odds(expit(outputs.logits) @ weights, expit(-outputs.logits) @ weights)

    def describe(self) -> dict[str, Any]:
        """See `Combiner`."""
        return {"averaged": self.space, "weights": [float(weight) for weight in self.weights]}


@dataclass(frozen=True)
class Majority:
    """What more than half of the members say; the mean probability decides ties, and ranks within equal votes.

    The probability is (votes for fake + mean probability) / (members + 1), which is 0.5 or more exactly where the
    majority, or the tie-break, says fake.
    """

    kind: ClassVar[str] = "majority"
    needs_features: ClassVar[bool] = False
    size: int

    def score(self, outputs: Outputs) -> Floats:
        """See `Combiner`."""
        mean = np.minimum(expit(outputs.logits).mean(axis=1), 1 - 2.0**-53)
        prob = (outputs.votes.sum(axis=1) + mean) / (self.size + 1)
        return log_odds(prob, 1 - prob)

    def describe(self) -> dict[str, Any]:
        """See `Combiner`."""
        return {}


@dataclass(frozen=True)
class NoisyOr:
    """Fake if it is fake to any member: 1 - the product of the members' probabilities of 'real'.

    For members that know different kinds of fakes: one that does not know a kind takes nothing away. Pearl 1988,
    'Probabilistic Reasoning in Intelligent Systems', 4.3.2.
    """

    kind: ClassVar[str] = "noisy_or"
    needs_features: ClassVar[bool] = False
    size: int

    def score(self, outputs: Outputs) -> Floats:
        """See `Combiner`."""
        real = -np.logaddexp(0, outputs.logits).sum(axis=1)  # log of the probability of 'real'
        few = np.logaddexp.reduce(outputs.logits, axis=1)  # the odds added: what is left of it where they are small
        return np.where(real > SMALL_ODDS, few, np.log(-np.expm1(np.minimum(real, SMALL_ODDS))) - real)

    def describe(self) -> dict[str, Any]:
        """See `Combiner`."""
        return {}


@dataclass(frozen=True)
class ScoreStack:
    """A scikit-learn classifier over the log-odds of some of the members; `chosen` are their numbers."""

    kind: ClassVar[str] = "score_stack"
    needs_features: ClassVar[bool] = False
    size: int
    chosen: tuple[int, ...]
    estimator: Any
    settings: dict[str, Any]

    def score(self, outputs: Outputs) -> Floats:
        """See `Combiner`."""
        decision = self.estimator.decision_function(outputs.logits[:, list(self.chosen)])
        return np.asarray(decision, dtype=np.float64)

    def describe(self) -> dict[str, Any]:
        """See `Combiner`."""
        return {"chosen": list(self.chosen), **self.settings}


@dataclass(frozen=True)
class FeatureStack:
    """Standardise → PCA → support vector machine, over the features of some of the members.

    A member's features are standardised by `means` and `scales` [K, F], one line for each of its K networks (fold
    models give features that have a location and scale of their own). The scales also divide by the square root of F,
    so that each member has the same share of the variance, however wide it is. A member with K networks gives K
    answers, whose mean counts. `temperature` and `bias` make log-odds of the machine's distances, whose scale depends
    on its settings.
    """

    kind: ClassVar[str] = "feature_stack"
    needs_features: ClassVar[bool] = True
    size: int
    chosen: tuple[int, ...]
    means: tuple[Features, ...]
    scales: tuple[Features, ...]
    centre: Features  # [F] of the standardised, joined features
    components: Features  # [F, d]
    estimator: Any
    temperature: float
    bias: float
    settings: dict[str, Any]

    def score(self, outputs: Outputs) -> Floats:
        """See `Combiner`."""
        assert outputs.features is not None
        features = [outputs.features[member] for member in self.chosen]
        views = max(len(means) for means in self.means)
        answers = [self._decide(features, view) for view in range(views)]
        return np.mean(answers, axis=0)

    def over(self, places: Sequence[tuple[Features, Features]]) -> "FeatureStack":
        """The same for members of several networks: `places` are all members' (means, scales) of `spaces.harmonise`."""
        means: list[Features] = []
        for (mean, scale), own in zip((places[one] for one in self.chosen), self.means, strict=True):
            known = np.where(np.isfinite(scale), scale, 0).astype(np.float32)  # the others have no say
            means.append(mean + known * own)
        scales = [places[one][1] * own for one, own in zip(self.chosen, self.scales, strict=True)]
        return replace(self, means=tuple(means), scales=tuple(scales))

    def _decide(self, features: list[Features], view: int) -> Floats:
        parts = []
        for values, means, scales in zip(features, self.means, self.scales, strict=True):
            which = view if len(means) > 1 else 0
            parts.append((values[:, which] - means[which]) / scales[which])
        projected = (np.hstack(parts) - self.centre) @ self.components
        return np.asarray(self.estimator.decision_function(projected), dtype=np.float64) / self.temperature + self.bias

    def describe(self) -> dict[str, Any]:
        """See `Combiner`."""
        return {"chosen": list(self.chosen), **self.settings}


def log_odds(prob: Floats, opposite: Floats) -> Floats:
    """log(prob / opposite), where `opposite` is 1 - prob; finite. More exact than logit(prob) near 1."""
    near = np.minimum(prob, opposite)
    exact = logit(np.maximum(near, SMALLEST))
    return np.where(prob <= opposite, exact, -exact)
