"""A GAN's discriminator as a detector: a linear head of its own on the features of one or both of its branches."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dfd.errors import UserError
from dfd.models.detector import Detector

Floats = NDArray[np.float64]

FOLDS = 5
FEWEST_GROUPS = 3  # of each class: one is held out, and two are left for inner folds
STRENGTHS = 10.0 ** np.arange(-5, 2)  # values of C to choose from, by inner folds


@dataclass(frozen=True)
class Head:
    """logit = features @ weight + bias, high for fakes; and what it gives rows that it was not fitted on, [n]."""

    weight: Floats
    bias: float
    out_of_fold: Floats


def fit_head(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, part: slice, seed: int) -> Head:
    """A logistic regression on the features [n, F] of `part`; the others get the weight 0.

    The rows have to be new to the discriminator: it knows the images that it was trained on. Raises UserError if there
    are too few groups for folds.
    """
    few = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    if few < FEWEST_GROUPS:
        raise UserError(
            f"the val split holds too few images for the discriminator's head: {few}; accepted is {FEWEST_GROUPS} or "
            "more"
        )
    inputs = features[:, part].astype(np.float64)
    with threadpool_limits(1):  # two threads on such small matrices wait for each other more than they work
        scores = np.empty(len(labels))
        for train, held_out in _folds(labels, groups, seed):
            model = _fitted(inputs[train], labels[train], groups[train], seed)
            scores[held_out] = model.decision_function(inputs[held_out])
        scaler, regression = _fitted(inputs, labels, groups, seed)
    weight = np.zeros(features.shape[1])
    weight[part] = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - scaler.mean_ @ weight[part])
    return Head(weight, bias, scores)


@torch.no_grad()
def put_head(detector: Detector, head: Head) -> None:
    """Give the detector this head."""
    detector.linear.weight.copy_(torch.from_numpy(head.weight)[None])
    detector.linear.bias.fill_(head.bias)


def _folds(labels: np.ndarray, groups: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    few = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    splitter = StratifiedGroupKFold(min(FOLDS, few), shuffle=True, random_state=seed)
    return list(splitter.split(labels, labels, groups))


def _fitted(inputs: Floats, labels: np.ndarray, groups: np.ndarray, seed: int) -> Pipeline:
    """The strength of the penalty comes from inner folds, by log loss. GridSearchCV takes three times as long."""
    losses = np.zeros(len(STRENGTHS))
    for train, held_out in _folds(labels, groups, seed):
        if len(np.unique(labels[train])) < 2:
            continue
        scaler = StandardScaler().fit(inputs[train])
        known, new = scaler.transform(inputs[train]), scaler.transform(inputs[held_out])
        wrong = np.where(labels[held_out] == 1, -1, 1)
        for place, strength in enumerate(STRENGTHS):
            regression = LogisticRegression(C=strength, max_iter=2000).fit(known, labels[train])
            losses[place] += np.logaddexp(0, wrong * regression.decision_function(new)).mean()
    best = STRENGTHS[losses.argmin()]
    return make_pipeline(StandardScaler(), LogisticRegression(C=best, max_iter=2000)).fit(inputs, labels)
