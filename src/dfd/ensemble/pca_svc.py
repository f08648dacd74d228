"""Stacking on the members' features: standardise → PCA → support vector machine.

The features of five members are thousands of columns over some thousand rows, so everything is done on matrices of rows
by rows: PCA on the Gram matrix, which for several members is the sum of theirs, and the search for hyper-parameters on
kernel matrices that the inner folds share.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from dfd.config import StrategyConfig
from dfd.ensemble.combiners import FeatureStack
from dfd.ensemble.inner import Parts, held_out_error, parts_of, subsets
from dfd.ensemble.outputs import Features, Floats, Ints, Outputs
from dfd.ensemble.spaces import standard
from dfd.errors import UserError
from dfd.evaluation.scaling import fit_platt
from dfd.machine import available_cores

KERNELS = ("linear", "rbf")
MOST_ROWS = 4000  # time grows with the cube of the rows, memory with their square


@dataclass(frozen=True)
class _Member:
    """A member's standardised features [n, F], and by what they were standardised, [1, F]."""

    inputs: Features
    mean: Features
    scale: Features


def fit_pca_svc(strategy: StrategyConfig, outputs: Outputs, label: Ints, group: NDArray[np.generic]) -> FeatureStack:
    """Members first, by a linear machine; then kernel, number of components and C; by the AUROC of inner folds.

    Standardisation and PCA see all rows at hand, without their labels; the inner folds refit what sees labels. That
    serves to choose only: what is measured are rows that none of it has seen.
    """
    assert outputs.features is not None
    if len(label) > MOST_ROWS:
        kept = _some(group, strategy.seed)
        outputs, label, group = outputs.rows(kept), label[kept], group[kept]
    parts = parts_of(strategy, label, group)

    def of_member(member: int) -> tuple[_Member, Features]:
        found = _standardised(outputs, member)
        return found, found.inputs @ found.inputs.T

    def of_members(chosen: list[int]) -> float:
        return _error(_centred(np.sum([grams[member] for member in chosen], axis=0)), label, parts, 1.0)

    # libsvm and LAPACK let go of Python's lock.
    with ThreadPoolExecutor(available_cores()) as pool:
        members, grams = zip(*pool.map(of_member, range(outputs.members)), strict=True)
        candidates = list(subsets(strategy, outputs, label))
        chosen = candidates[int(np.argmin(list(pool.map(of_members, candidates))))]
        most = min(max(strategy.components), min(len(fit) for fit, _ in parts) - 1)
        projected = _principal(np.sum([grams[member] for member in chosen], axis=0), most)
        sizes = sorted({min(size, projected.shape[1]) for size in strategy.components})
        kernels = [(kind, size) for kind in KERNELS for size in sizes]

        def of_kernel(kernel: tuple[str, int]) -> list[float]:
            matrix = _kernel(kernel[0], projected[:, : kernel[1]])
            return [_error(matrix, label, parts, c) for c in strategy.c]

        errors = np.array(list(pool.map(of_kernel, kernels)))
    best, which = np.unravel_index(errors.argmin(), errors.shape)
    (kind, size), c = kernels[best], strategy.c[which]
    inputs = np.hstack([members[member].inputs for member in chosen])
    centre = inputs.mean(axis=0)
    components = _components(inputs - centre, projected[:, :size])
    machine = SVC(C=c, kernel=kind, gamma=_gamma(projected[:, :size])).fit((inputs - centre) @ components, label)
    settings: dict[str, Any] = {"kernel": kind, "components": size, "C": c, "rows": len(label)}
    settings["inner_auroc"] = round(1 - float(errors.min()), 6)
    scale = fit_platt(_held_out(_kernel(kind, projected[:, :size]), label, parts, c), label)
    means, scales = ([getattr(members[one], name) for one in chosen] for name in ("mean", "scale"))
    return FeatureStack(
        outputs.members,
        tuple(chosen),
        tuple(means),
        tuple(scales),
        centre,
        components,
        machine,
        scale.temperature,
        scale.bias,
        settings,
    )


def _some(group: NDArray[np.generic], seed: int) -> Ints:
    """At most MOST_ROWS rows, whole groups drawn at random."""
    names, code = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    total = np.cumsum(np.bincount(code)[order])
    return np.flatnonzero(np.isin(code, order[total <= MOST_ROWS]))


def _standardised(outputs: Outputs, member: int) -> _Member:
    assert outputs.features is not None
    features = outputs.features[member][:, 0]
    if not np.isfinite(features).all():
        raise UserError(f"member {member + 1} of the ensemble has features that are no finite numbers")
    mean, deviation = standard(features)
    scale = deviation * np.float32(np.sqrt(features.shape[1]))
    return _Member((features - mean) / scale, mean[None], scale[None])


def _centred(gram: NDArray[np.float32]) -> Floats:
    """The Gram matrix of the rows less their mean."""
    return (gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()).astype(np.float64)


def _principal(gram: NDArray[np.float32], most: int) -> Floats:
    """Rows' coordinates [n, d] on the first d <= `most` principal components, from X @ X.T."""
    n = len(gram)
    values, vectors = eigh(_centred(gram).astype(np.float32), subset_by_index=[n - most, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > 1e-5 * values[0]  # beyond, it is rounding
    return (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float64)


def _gamma(inputs: Floats) -> float:
    """scikit-learn's 'scale': one over the number of columns times their variance."""
    return float(1 / (inputs.shape[1] * inputs.var()))


def _kernel(kind: str, inputs: Floats) -> Floats:
    return inputs @ inputs.T if kind == "linear" else rbf_kernel(inputs, gamma=_gamma(inputs))


def _components(centred: Features, projected: Floats) -> Features:
    """[F, d] with centred @ components = projected."""
    return (centred.T @ (projected / (projected**2).sum(axis=0)).astype(np.float32)).astype(np.float32)


def _error(kernel: Floats, label: Ints, parts: Parts, c: float) -> float:
    """Mean over the inner folds."""
    score = _held_out(kernel, label, parts, c)
    return float(np.mean([held_out_error(label[held], score[held]) for _, held in parts]))


def _held_out(kernel: Floats, label: Ints, parts: Parts, c: float) -> Floats:
    """Each row's distance from the plane of a machine that was fitted on the other inner folds."""
    score = np.empty(len(label))
    for fit, held in parts:
        machine = SVC(C=c, kernel="precomputed").fit(kernel[np.ix_(fit, fit)], label[fit])
        score[held] = kernel[np.ix_(held, fit[machine.support_])] @ machine.dual_coef_[0] + machine.intercept_[0]
    return score
