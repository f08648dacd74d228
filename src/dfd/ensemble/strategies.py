"""Fitting a way of combining on rows that no member was trained on: out-of-fold rows, or validation."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from dfd.config import StrategyConfig
from dfd.ensemble.combiners import Combiner, Majority, Mean, NoisyOr
from dfd.ensemble.outputs import Floats, Ints, Outputs
from dfd.ensemble.pca_svc import fit_pca_svc
from dfd.ensemble.stacking import fit_gbm, fit_logreg
from dfd.errors import UserError

NEEDS_FEATURES = frozenset({"stacking_pca_svc"})


def fit(strategy: StrategyConfig, outputs: Outputs, label: Ints, group: NDArray[np.generic]) -> Combiner:
    """Fit `strategy` on rows [n]. Label 1 is fake; rows of one `group` are never separated in inner validation."""
    check_rows(outputs, label)
    if strategy.kind == "averaging":
        return Mean(_equal(outputs.members), strategy.space)
    if strategy.kind == "majority":
        return Majority(outputs.members)
    if strategy.kind == "noisy_or":
        return NoisyOr(outputs.members)
    if strategy.kind == "weighted":
        return Mean(_weights(strategy, outputs, label), strategy.space)
    fitters: dict[str, Callable[..., Combiner]] = {
        "stacking_logreg": fit_logreg,
        "stacking_gbm": fit_gbm,
        "stacking_pca_svc": fit_pca_svc,
    }
    # Small problems: two threads on them cost more than they save, and far more beside other programs.
    with threadpool_limits(1):
        return fitters[strategy.kind](strategy, outputs, label, group)


def check_rows(outputs: Outputs, label: Ints) -> None:
    """Raise UserError for rows that nothing can be fitted on."""
    bad = int((~np.isfinite(outputs.logits)).any(axis=1).sum())
    if bad:
        raise UserError(f"{bad} of {len(outputs)} rows have a member's score that is no finite number")
    for value, word in enumerate(("real", "fake")):
        if not (label == value).any():
            raise UserError(f"the {len(outputs)} rows to fit the ensemble on hold no {word} images; both are needed")


def _equal(members: int) -> tuple[float, ...]:
    return (1 / members,) * members


def _weights(strategy: StrategyConfig, outputs: Outputs, label: Ints) -> tuple[float, ...]:
    if strategy.by == "fixed":
        return fixed_weights(strategy.weights, outputs.members)
    if strategy.by == "auroc":
        above = np.array([max(0.0, roc_auc_score(label, scores) - 0.5) for scores in outputs.logits.T])
        return tuple(above / above.sum()) if above.sum() > 0 else _equal(outputs.members)
    return _optimised(strategy.space, outputs.logits, label)


def fixed_weights(weights: list[float] | None, members: int) -> tuple[float, ...]:
    """Given weights, so that they sum to 1. Raises UserError if they are not one a member, or all are 0."""
    if weights is None or len(weights) != members or not sum(weights) > 0:
        raise UserError(
            f"strategy.weights={weights}: with strategy.by=fixed it takes {members} weights, one a member, "
            "of which some are above 0"
        )
    return tuple(float(weight) / sum(weights) for weight in weights)


def _optimised(space: str, logits: Floats, label: Ints) -> tuple[float, ...]:
    """Weights of least log loss on the simplex: a convex problem in either space."""
    prob, sign = expit(logits), np.where(label == 1, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        if space == "logit":
            margin = sign * (logits @ weights)
            return float(np.logaddexp(0, -margin).mean()), -(logits.T @ (sign * expit(-margin))) / len(label)
        right = np.where(label[:, None] == 1, prob, 1 - prob)
        mixed = np.maximum(right @ weights, 1e-12)
        return float(-np.log(mixed).mean()), -(right / mixed[:, None]).mean(axis=0)

    found = minimize(
        loss,
        np.array(_equal(logits.shape[1])),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * logits.shape[1],
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10, "maxiter": 200},
    )
    weights = np.where(found.x < 1e-6, 0.0, found.x)
    return tuple(weights / weights.sum())
