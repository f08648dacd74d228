"""Stacking on the members' features: standardise → PCA → support vector machine.

The features of five members are thousands of columns over some thousand rows, so PCA is done on the rows' Gram matrix,
and the Gram matrix of several members is the sum of theirs.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.svm import SVC

from dfd.config import StrategyConfig
from dfd.ensemble.combiners import FeatureStack
from dfd.ensemble.inner import Parts, held_out_error, parts_of, subsets
from dfd.ensemble.outputs import Features, Floats, Ints, Outputs
from dfd.ensemble.spaces import standard
from dfd.errors import UserError
from dfd.machine import available_cores

DEFAULT_COMPONENTS, DEFAULT_C = 64, 1.0  # while the members are chosen


@dataclass(frozen=True)
class _Member:
    """A member's standardised features [n, F], and by what they were standardised, [1, F]."""

    inputs: Features
    mean: Features
    scale: Features


def fit_pca_svc(strategy: StrategyConfig, outputs: Outputs, label: Ints, group: NDArray[np.generic]) -> FeatureStack:
    """Members first, then the number of components and C, by the AUROC of inner cross-validation.

    Standardisation and PCA see all rows at hand, without their labels; the inner folds refit what sees labels. That
    serves to choose only: what is measured are rows that none of it has seen.
    """
    assert outputs.features is not None
    members = [_standardised(outputs, member) for member in range(outputs.members)]
    grams = [member.inputs @ member.inputs.T for member in members]
    parts = parts_of(strategy, label, group)
    most = min(max(strategy.components), min(len(fit) for fit, _ in parts) - 1)

    def searched(chosen: list[int]) -> tuple[float, list[int], Floats]:
        projected = _principal(np.sum([grams[member] for member in chosen], axis=0), most)
        size = min(DEFAULT_COMPONENTS, most)
        return _error(projected[:, :size], label, parts, DEFAULT_C), chosen, projected

    # libsvm and LAPACK let go of Python's lock.
    with ThreadPoolExecutor(available_cores()) as pool:
        _, chosen, projected = min(pool.map(searched, subsets(strategy, outputs, label)), key=lambda found: found[0])
        sizes = sorted({min(size, projected.shape[1]) for size in strategy.components})
        grid = [(size, c) for size in sizes for c in strategy.c]
        errors = list(pool.map(lambda one: _error(projected[:, : one[0]], label, parts, one[1]), grid))
    size, c = grid[int(np.argmin(errors))]
    inputs = np.hstack([members[member].inputs for member in chosen])
    centre = inputs.mean(axis=0)
    components = _components(inputs - centre, projected[:, :size])
    machine = SVC(C=c, gamma="scale").fit((inputs - centre) @ components, label)
    settings = {"components": size, "C": c, "inner_auroc": round(1 - float(min(errors)), 6)}
    means, scales = ([getattr(members[one], name) for one in chosen] for name in ("mean", "scale"))
    return FeatureStack(
        outputs.members, tuple(chosen), tuple(means), tuple(scales), centre, components, machine, settings
    )


def _standardised(outputs: Outputs, member: int) -> _Member:
    assert outputs.features is not None
    features = outputs.features[member][:, 0]
    if not np.isfinite(features).all():
        raise UserError(f"member {member + 1} of the ensemble has features that are no finite numbers")
    mean, deviation = standard(features)
    scale = deviation * np.float32(np.sqrt(features.shape[1]))
    return _Member((features - mean) / scale, mean[None], scale[None])


def _principal(gram: NDArray[np.float32], most: int) -> Floats:
    """Rows' coordinates [n, d] on the first d <= `most` principal components, from X @ X.T."""
    n = len(gram)
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    values, vectors = eigh(centred.astype(np.float64), subset_by_index=[n - most, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > 1e-6 * values[0]  # beyond, it is rounding
    return vectors[:, kept] * np.sqrt(values[kept])


def _components(centred: Features, projected: Floats) -> Features:
    """[F, d] with centred @ components = projected."""
    return (centred.T @ (projected / (projected**2).sum(axis=0)).astype(np.float32)).astype(np.float32)


def _error(inputs: Floats, label: Ints, parts: Parts, c: float) -> float:
    """Mean over the inner folds: their machines' scores have no common scale."""
    errors = []
    for fit, held in parts:
        score = SVC(C=c, gamma="scale").fit(inputs[fit], label[fit]).decision_function(inputs[held])
        errors.append(held_out_error(label[held], score))
    return float(np.mean(errors))
