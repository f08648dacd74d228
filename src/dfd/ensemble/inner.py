"""Inner cross-validation: choosing hyper-parameters and members on the rows at hand, before anything is measured."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from dfd.config import StrategyConfig
from dfd.ensemble.outputs import Floats, Ints, Outputs
from dfd.errors import UserError

Parts = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def parts_of(strategy: StrategyConfig, label: Ints, group: NDArray[np.generic]) -> Parts:
    """(fit rows, held-out rows) of each inner fold; stratified by label, no group is separated."""
    least = min(len(np.unique(group[label == value])) for value in (0, 1))
    if least < strategy.inner_folds:
        raise UserError(
            f"strategy.inner_folds={strategy.inner_folds}: the rarer class has only {least} independent images to fit "
            "on"
        )
    splitter = StratifiedGroupKFold(strategy.inner_folds, shuffle=True, random_state=strategy.seed)
    parts = list(splitter.split(np.zeros(len(label)), label, group))
    for fit, held in parts:
        if len(set(label[fit])) < 2 or len(set(label[held])) < 2:
            raise UserError(f"too few images of a class to fit on: an inner fold of {strategy.inner_folds} lacks it")
    return parts


def subsets(strategy: StrategyConfig, outputs: Outputs, label: Ints) -> Iterator[list[int]]:
    """The best member, the best two, … and all of them; all of them only, if nothing is to be selected."""
    order = np.argsort([-roc_auc_score(label, scores) for scores in outputs.logits.T], kind="stable")
    for size in range(1 if strategy.select else outputs.members, outputs.members + 1):
        yield sorted(int(member) for member in order[:size])


def held_out_loss(label: Ints, score: Floats) -> float:
    """Log loss of scores that are log-odds."""
    return float(log_loss(label, 1 / (1 + np.exp(-np.clip(score, -700, 700))), labels=[0, 1]))


def held_out_error(label: Ints, score: Floats) -> float:
    """1 - AUROC, for scores whose scale means nothing."""
    return 1 - float(roc_auc_score(label, score))
