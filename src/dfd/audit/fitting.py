"""Scores that cheap classifiers give to images they were not fitted on."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn import config_context
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dfd.data.splits import deal
from dfd.evaluation.figures import Floats, Ints

INNER_FOLDS = 3
C = (1e-3, 1e-2, 1e-1, 1.0)  # inverse strengths of the L2 penalty to choose from
MOST_STEPS, TOLERANCE = 300, 1e-3  # of the solver
MOST_ROWS = 20_000  # that a classifier is fitted on: more rows hardly change it


def out_of_fold(inputs: Floats, rows: pd.DataFrame, fold: Ints, seed: int, trees: bool) -> Floats:
    """The score [n] of each row, in 0..1, by classifiers fitted on the other folds; higher is more fake.

    `rows` has the columns label, group and source. `trees`: the mean probability of logistic regression and
    gradient-boosted trees; else logistic regression alone, as suits a network's features. Scores are ranks within
    their fold, for the classifiers of two folds need not agree on a scale: only compare rows of one fold.
    """
    scores = np.full(len(rows), 0.5)
    if inputs.shape[1] == 0:  # nothing differs between the images
        return scores
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a third of the time of small fits
        for number in np.unique(fold):
            train, held = _at_most(np.flatnonzero(fold != number), rows, seed), fold == number
            models: list[Any] = [_logistic(inputs[train], rows.iloc[train], seed)]
            if trees:
                models.append(_trees(inputs[train], rows["label"].to_numpy()[train], seed))
            found = np.mean([model.predict_proba(inputs[held])[:, 1] for model in models], axis=0)
            scores[held] = ranks(found)
    return scores


def combined(scores: list[Floats], rows: pd.DataFrame, fold: Ints, seed: int) -> Floats:
    """One score [n] of several out-of-fold scores, by logistic regression on those of the other folds."""
    return out_of_fold(normal(np.stack(scores, axis=1)), rows, fold, seed, trees=False)


def ranks(values: Floats) -> Floats:
    """Ranks as shares between 0 and 1, ties sharing theirs."""
    return (rankdata(values.round(12)) - 0.5) / len(values)


def normal(share: Floats) -> Floats:
    """Ranks in 0..1 as quantiles of the normal distribution, on which a line is fitted more sensibly."""
    return np.asarray(norm.ppf(share))


def _at_most(train: Ints, rows: pd.DataFrame, seed: int) -> Ints:
    """Whole groups of `train`, drawn at random, with about MOST_ROWS rows."""
    if len(train) <= MOST_ROWS:
        return train
    groups = rows["group"].to_numpy()[train]
    place = np.random.default_rng(seed).permutation(groups.max() + 1)[groups]
    return train[np.argsort(place, kind="stable")[:MOST_ROWS]]


def _logistic(inputs: Floats, rows: pd.DataFrame, seed: int) -> Pipeline:
    """Logistic regression on standardised inputs, with the C of least log loss in a grouped inner cross-validation."""
    scaler = StandardScaler()
    scaled, label = scaler.fit_transform(inputs), rows["label"].to_numpy()
    inner = deal(rows, [1 / INNER_FOLDS] * INNER_FOLDS, seed)
    best = C[int(np.argmin(sum(_losses(scaled, label, inner == number) for number in range(INNER_FOLDS))))]
    return make_pipeline(scaler, LogisticRegression(C=best, max_iter=MOST_STEPS, tol=TOLERANCE).fit(scaled, label))


def _losses(scaled: Floats, label: Ints, held: NDArray[np.bool_]) -> Floats:
    """Log loss on the held rows for each C; none where the fold is too small to tell."""
    if len(set(label[held])) < 2 or len(set(label[~held])) < 2:
        return np.zeros(len(C))
    model = LogisticRegression(max_iter=MOST_STEPS, tol=TOLERANCE, warm_start=True)
    losses = []
    for value in C:  # from the strongest penalty on, each starts where the one before ended
        model.set_params(C=value).fit(scaled[~held], label[~held])
        margin = model.decision_function(scaled[held]) * np.where(label[held] == 1, 1, -1)
        losses.append(np.logaddexp(0, -margin).mean())  # the log loss, without what scikit-learn checks each time
    return np.array(losses)


def _trees(inputs: Floats, label: Ints, seed: int) -> HistGradientBoostingClassifier:
    model = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False, random_state=seed
    )
    return model.fit(inputs, label)
