"""Stacking on the members' log-odds: logistic regression and gradient-boosted trees of scikit-learn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from dfd.config import StrategyConfig
from dfd.ensemble.combiners import ScoreStack
from dfd.ensemble.inner import Parts, held_out_loss, parts_of, subsets
from dfd.ensemble.outputs import Floats, Ints, Outputs

Maker = Callable[[Any, int], Any]  # value of the hyper-parameter, number of members → estimator


def fit_logreg(strategy: StrategyConfig, outputs: Outputs, label: Ints, group: NDArray[np.generic]) -> ScoreStack:
    """Logistic regression; C and the members by inner cross-validation."""

    def make(c: float, members: int) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=1000)

    return _fit(strategy, outputs, label, group, "C", strategy.c, make)


def fit_gbm(strategy: StrategyConfig, outputs: Outputs, label: Ints, group: NDArray[np.generic]) -> ScoreStack:
    """Trees that may only rise with each member's score; leaves a tree and the members by inner cross-validation."""

    def make(leaves: int, members: int) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=100,
            max_leaf_nodes=leaves,
            min_samples_leaf=20,
            early_stopping=False,
            monotonic_cst=[1] * members,
            random_state=strategy.seed,
        )

    return _fit(strategy, outputs, label, group, "leaves", strategy.leaves, make)


def _fit(
    strategy: StrategyConfig,
    outputs: Outputs,
    label: Ints,
    group: NDArray[np.generic],
    name: str,
    values: list[Any],
    make: Maker,
) -> ScoreStack:
    parts = parts_of(strategy, label, group)
    candidates = [(members, value) for members in subsets(strategy, outputs, label) for value in values]
    losses = [
        _loss(outputs.logits[:, members], label, parts, partial(make, value, len(members)))
        for members, value in candidates
    ]
    members, value = candidates[int(np.argmin(losses))]
    estimator = make(value, len(members)).fit(outputs.logits[:, members], label)
    settings = {name: value, "inner_log_loss": round(float(min(losses)), 6)}
    return ScoreStack(outputs.members, tuple(members), estimator, settings)


def _loss(inputs: Floats, label: Ints, parts: Parts, make: Callable[[], Any]) -> float:
    score = np.empty(len(label))
    for fit, held in parts:
        score[held] = make().fit(inputs[fit], label[fit]).decision_function(inputs[held])
    return held_out_loss(label, score)
