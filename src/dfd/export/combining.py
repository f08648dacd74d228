"""Combining and calibration as PyTorch modules, so that a graph gives the verdict's numbers and not only logits.

What `ensemble.combiners` and `evaluation.scaling` do with NumPy, in float64 as they do. Engines of dfd use those and
read the networks' values alone; these are for people who use the graph without dfd. Sums of exponentials stand in for
products of small numbers, since OpenVINO makes float32 of float64.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn.functional import softplus

from dfd.ensemble.combiners import Combiner, FeatureStack, Majority, Mean, NoisyOr, ScoreStack
from dfd.evaluation.calibration import Calibration
from dfd.evaluation.scaling import CLIP
from dfd.models.bundle import Bundle, EnsembleBundle

Part = tuple[Tensor, Tensor | None]  # a network's logits [n] and, if the combiner reads them, its features [n, F]
LEAST_ODDS = 1e-6  # below, products of odds are less than what float32 tells apart
LEAST = -53 * math.log(2)  # log of the distance of the largest float64 below 1 from 1, as in `Majority`


def inexpressible(bundle: Bundle) -> str | None:
    """Why a graph can't hold the bundle's way of combining; None if it can."""
    if not isinstance(bundle, EnsembleBundle):
        return None
    for member in bundle.members:
        if reason := inexpressible(member):
            return reason
    estimator = getattr(bundle.combiner, "estimator", None)
    if estimator is None or isinstance(estimator, LogisticRegression):
        return None
    if isinstance(estimator, SVC) and estimator.kernel in ("linear", "rbf"):
        return None
    return f"{bundle.name} combines its members by a {type(estimator).__name__}, which has no form as a graph"


class Scale(nn.Module):
    """A calibration: logits [n] to log-odds or probabilities, as `Calibration` gives them."""

    at: Tensor
    rise: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.temperature, self.bias = calibration.temperature, calibration.bias
        self.straight = not calibration.knots
        knots = _double(calibration.knots or [(0.0, 0.0)])
        self.lowest, self.highest = float(knots[0, 1]), float(knots[-1, 1])
        self.register_buffer("at", knots[:, 0].clone())
        self.register_buffer("rise", knots[1:, 1] - knots[:-1, 1])

    def log_odds(self, logits: Tensor) -> Tensor:
        """See `Calibration.calibrated_logit`."""
        if self.straight:
            return logits / self.temperature + self.bias
        prob = self._between_knots(logits, self.lowest, 1.0).clamp(CLIP, 1 - CLIP)
        opposite = self._between_knots(logits, 1 - self.lowest, -1.0).clamp(CLIP, 1 - CLIP)
        return prob.log() - opposite.log()

    def prob(self, logits: Tensor) -> Tensor:
        """See `Calibration.prob`."""
        return torch.sigmoid(self.log_odds(logits)) if self.straight else self._between_knots(logits, self.lowest, 1.0)

    def _between_knots(self, logits: Tensor, start: float, sign: float) -> Tensor:
        """The sum of how far each stretch between two knots has been climbed."""
        steps = self.at[1:] - self.at[:-1]
        climbed = ((logits[:, None] - self.at[:-1]) / steps).clamp(0, 1)
        return start + sign * (climbed * self.rise).sum(dim=1)


class MeanRule(nn.Module):
    """`combiners.Mean`: log-odds [n, M] to logits [n]."""

    weights: Tensor

    def __init__(self, combiner: Mean) -> None:
        super().__init__()
        self.space = combiner.space
        self.register_buffer("weights", _double(combiner.weights))

    def forward(self, odds: Tensor, votes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Combined`."""
        if self.space == "logit":
            return (odds * self.weights).sum(dim=1)
        shares = self.weights.log()
        return torch.logsumexp(shares - softplus(-odds), dim=1) - torch.logsumexp(shares - softplus(odds), dim=1)


class MajorityRule(nn.Module):
    """`combiners.Majority`: votes and log-odds [n, M] to logits [n]."""

    def __init__(self, combiner: Majority) -> None:
        super().__init__()
        self.size = combiner.size

    def forward(self, odds: Tensor, votes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Combined`."""
        count, even = votes.to(odds.dtype).sum(dim=1), math.log(self.size)
        mean = torch.logsumexp(-softplus(-odds), dim=1) - even
        opposite = (torch.logsumexp(-softplus(odds), dim=1) - even).clamp(min=LEAST)
        return _log_sum(count, mean) - _log_sum(self.size - count, opposite)


class NoisyOrRule(nn.Module):
    """`combiners.NoisyOr`: log-odds [n, M] to logits [n]."""

    def __init__(self, combiner: NoisyOr) -> None:
        super().__init__()

    def forward(self, odds: Tensor, votes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Combined`."""
        fake = softplus(odds).sum(dim=1)  # minus the log of the probability of 'real'
        few, many = torch.logsumexp(odds, dim=1), fake + torch.log(-torch.expm1(-fake.clamp(min=LEAST_ODDS)))
        return torch.where(fake < LEAST_ODDS, few, many)


class LinearRule(nn.Module):
    """`combiners.ScoreStack` of a logistic regression: log-odds [n, M] to logits [n]."""

    weights: Tensor

    def __init__(self, combiner: ScoreStack) -> None:
        super().__init__()
        weights = np.zeros(combiner.size)
        weights[list(combiner.chosen)] = combiner.estimator.coef_[0]
        self.register_buffer("weights", _double(weights))
        self.bias = float(combiner.estimator.intercept_[0])

    def forward(self, odds: Tensor, votes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Combined`."""
        return (odds * self.weights).sum(dim=1) + self.bias


class FeatureRule(nn.Module):
    """`combiners.FeatureStack`: for each member features [n, K, F], to logits [n]."""

    means: Sequence[Tensor]
    components: Tensor
    centre: Tensor
    vectors: Tensor
    weights: Tensor

    def __init__(self, combiner: FeatureStack) -> None:
        super().__init__()
        machine = combiner.estimator
        self.chosen, self.linear = combiner.chosen, machine.kernel == "linear"
        self.temperature, self.bias = combiner.temperature, combiner.bias
        self.gamma, self.offset = float(machine._gamma), float(machine.intercept_[0])
        self.counts = [len(means) for means in combiner.means]
        for number, (means, scales) in enumerate(zip(combiner.means, combiner.scales, strict=True)):
            self.register_buffer(f"means_{number}", torch.tensor(means))
            self.register_buffer(f"scales_{number}", torch.tensor(scales))
        self.register_buffer("centre", torch.tensor(combiner.centre))
        self.register_buffer("components", torch.tensor(combiner.components))
        self.register_buffer("vectors", _double(machine.support_vectors_))
        self.register_buffer("weights", _double(machine.dual_coef_[0]))

    def forward(self, odds: Tensor, votes: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Combined`."""
        own = [features[member] for member in self.chosen]
        answers = [self._decide(own, view) for view in range(max(self.counts))]
        return torch.stack(answers).mean(dim=0)

    def _decide(self, features: list[Tensor], view: int) -> Tensor:
        parts = []
        for number, (values, count) in enumerate(zip(features, self.counts, strict=True)):
            which = view if count > 1 else 0
            means, scales = getattr(self, f"means_{number}"), getattr(self, f"scales_{number}")
            parts.append((values[:, which] - means[which]) / scales[which])
        projected = ((torch.cat(parts, dim=1) - self.centre) @ self.components).double()
        return (self._kernel(projected) @ self.weights + self.offset) / self.temperature + self.bias

    def _kernel(self, rows: Tensor) -> Tensor:
        if self.linear:
            return rows @ self.vectors.T
        apart = (rows[:, None] - self.vectors).square().sum(dim=2)
        return torch.exp(-self.gamma * apart)


class Combined(nn.Module):
    """What a bundle's networks say to its logit, as `inference.engine.combine` does."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        members = bundle.members if isinstance(bundle, EnsembleBundle) else ()
        self.counts = [len(member.detectors) for member in members]
        self.members = nn.ModuleList(Combined(member) for member in members)
        self.scales = [Scale(member.calibration) for member in members]
        self.registered = nn.ModuleList(self.scales)
        self.thresholds = [member.calibration.threshold for member in members]
        self.rule: nn.Module | None = None
        if isinstance(bundle, EnsembleBundle):
            self.rule = RULES[bundle.combiner.kind](bundle.combiner)
            self.needs_features = bundle.combiner.needs_features

    def forward(self, parts: Sequence[Part]) -> Tensor:
        """One part for each network, to logits float64 [n]."""
        if self.rule is None:
            return parts[0][0].double()
        logits = self.member_logits(parts)
        columns = list(zip(self.scales, logits.unbind(dim=1), self.thresholds, strict=True))
        odds = torch.stack([scale.log_odds(column) for scale, column, _ in columns], dim=1)
        votes = torch.stack([scale.prob(column) >= least for scale, column, least in columns], dim=1)
        return self.rule(odds, votes, self._features(parts) if self.needs_features else [])

    def member_logits(self, parts: Sequence[Part]) -> Tensor:
        """The members' logits float64 [n, M]; of a single network its own, M = 1."""
        if self.rule is None:
            return parts[0][0].double()[:, None]
        each = zip(self.members, self._own(parts), strict=True)
        return torch.stack([member(own) for member, own in each], dim=1)

    def _own(self, parts: Sequence[Part]) -> list[Sequence[Part]]:
        starts = np.cumsum([0, *self.counts]).tolist()
        return [parts[start : start + count] for start, count in zip(starts, self.counts, strict=False)]

    def _features(self, parts: Sequence[Part]) -> list[Tensor]:
        return [torch.stack([one for _, one in own if one is not None], dim=1) for own in self._own(parts)]


RULES: dict[str, Callable[[Combiner], nn.Module]] = {
    Mean.kind: MeanRule,  # type: ignore[dict-item]
    Majority.kind: MajorityRule,  # type: ignore[dict-item]
    NoisyOr.kind: NoisyOrRule,  # type: ignore[dict-item]
    ScoreStack.kind: LinearRule,  # type: ignore[dict-item]
    FeatureStack.kind: FeatureRule,  # type: ignore[dict-item]
}


def _double(values: object) -> Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


def _log_sum(count: Tensor, log_share: Tensor) -> Tensor:
    """log(count + exp(log_share)) of whole counts, of which 0 has no logarithm."""
    known = count.clamp(min=1).log()
    return torch.where(count > 0, known + softplus(log_share - known), log_share)
