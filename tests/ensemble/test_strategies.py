import dataclasses

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from dfd.config import STRATEGIES, CalibrationConfig, StrategyConfig
from dfd.ensemble import storage
from dfd.ensemble.crossfit import cross_fit, outputs_of
from dfd.ensemble.outputs import Outputs
from dfd.ensemble.strategies import fit
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from tests.ensemble.conftest import synthetic

Data = tuple[Outputs, np.ndarray, np.ndarray]


def strategy(kind: str, **settings: object) -> StrategyConfig:
    values = {"name": kind, "kind": kind, "components": [4, 16], "c": [0.1, 1.0], "leaves": [2, 4], "inner_folds": 3}
    return StrategyConfig(**{**values, **settings})


@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_strategy_ranks_fresh_rows_and_comes_back_from_the_disk(data: Data, kind: str, tmp_path) -> None:
    fitted = fit(strategy(kind), *data)
    fresh, label, _ = synthetic(200, seed=1)
    names = storage.save(fitted, tmp_path)
    assert not [name for name in names if name.endswith((".pkl", ".joblib"))]
    score = fitted.score(fresh)
    assert roc_auc_score(label, score) > 0.7
    np.testing.assert_allclose(storage.load(tmp_path).score(fresh), score, rtol=1e-9, atol=1e-9)


def test_fitting_twice_gives_the_same(data: Data) -> None:
    for kind in STRATEGIES:
        first, again = (fit(strategy(kind), *data).score(data[0]) for _ in range(2))
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("space", ["probability", "logit"])
def test_optimised_weights_lie_on_the_simplex_and_beat_equal_ones(data: Data, space: str) -> None:
    outputs, label, group = data
    weights = np.array(fit(strategy("weighted", space=space), *data).weights)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    assert weights.argmax() == 0 and weights[2] < 0.1

    def loss(kind: str, **settings: object) -> float:
        score = fit(strategy(kind, space=space, **settings), outputs, label, group).score(outputs)
        return log_loss(label, 1 / (1 + np.exp(-score)))

    assert loss("weighted") <= loss("averaging") + 1e-9
    assert loss("weighted") <= loss("weighted", by="fixed", weights=[0.5, 0.3, 0.2]) + 1e-9


def test_weights_by_auroc_ignore_a_member_that_guesses(data: Data) -> None:
    outputs, label, group = data
    backwards = dataclasses.replace(outputs, logits=outputs.logits * [1, 1, -9])
    weights = fit(strategy("weighted", by="auroc"), backwards, label, group).weights
    assert weights[0] > weights[1] > 0
    assert weights[2] < 0.1


@pytest.mark.parametrize("weights", [None, [1.0], [0.0, 0.0, 0.0]])
def test_fixed_weights_have_to_be_given_one_a_member(data: Data, weights: list[float] | None) -> None:
    with pytest.raises(UserError, match=r"strategy.weights=.* takes 3 weights, one a member"):
        fit(strategy("weighted", by="fixed", weights=weights), *data)


@pytest.mark.parametrize("kind", ["stacking_logreg", "stacking_pca_svc", "stacking_gbm"])
def test_members_of_noise_do_little_harm(kind: str) -> None:
    rng = np.random.default_rng(3)

    def rows(n: int) -> tuple[Outputs, np.ndarray]:
        label = rng.integers(0, 2, n)
        logits = np.stack([label * 2 + rng.normal(size=n), *rng.normal(size=(4, n)) * 5], axis=1)
        features = tuple((column[:, None, None] + rng.normal(size=(n, 1, 6))).astype(np.float32) for column in logits.T)
        return Outputs(logits, logits > 0, features), label

    (outputs, label), (fresh, fresh_label) = rows(400), rows(1000)
    fitted = fit(strategy(kind), outputs, label, np.arange(400))
    assert 0 in fitted.describe()["chosen"]
    alone = roc_auc_score(fresh_label, fresh.logits[:, 0])
    assert roc_auc_score(fresh_label, fitted.score(fresh)) > alone - 0.04
    every = fit(strategy(kind, select=False), outputs, label, np.arange(400))
    assert every.describe()["chosen"] == [0, 1, 2, 3, 4]


def test_dead_features_have_no_say(data: Data) -> None:
    outputs, label, group = data
    features = tuple(np.concatenate([one, np.full((300, 1, 3), 7.0, np.float32)], axis=2) for one in outputs.features)
    fitted = fit(strategy("stacking_pca_svc"), dataclasses.replace(outputs, features=features), label, group)
    other = tuple(np.concatenate([one, np.full((300, 1, 3), 1e6, np.float32)], axis=2) for one in outputs.features)
    first, moved = (fitted.score(dataclasses.replace(outputs, features=one)) for one in (features, other))
    assert np.isfinite(moved).all()
    np.testing.assert_allclose(first, moved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits, label: (np.where(np.arange(300)[:, None] < 2, np.nan, logits), label), "2 of 300 rows have a"),
        (lambda logits, label: (logits, np.zeros(300, int)), "hold no fake images; both are needed"),
    ],
)
def test_rows_that_tell_nothing_are_refused(data: Data, change, message: str) -> None:
    outputs, label, group = data
    logits, label = change(outputs.logits, label)
    for kind in STRATEGIES:
        with pytest.raises(UserError, match=message):
            fit(strategy(kind), dataclasses.replace(outputs, logits=logits), label, group)


def test_too_few_groups_to_choose_by_are_told(data: Data) -> None:
    outputs, label, _ = data
    with pytest.raises(UserError, match="the rarer class has only 1 independent images"):
        fit(strategy("stacking_logreg"), outputs, label, np.zeros(300, int))


def memorised(rng: np.random.Generator, label: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Logits of a member that knows the answers of the rows it was trained on, and little of others."""
    weak = rng.normal(size=len(label)) + 0.5 * label
    return np.where(seen, 4.0 * (2 * label - 1) + rng.normal(size=len(label)), weak)


@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_classic_mistake(kind: str) -> None:
    """Stacking fitted on rows that the members were trained on looks far better there than it is.

    The out-of-fold route, on the same number of rows, reports what fresh rows confirm.
    """
    rng = np.random.default_rng(1)
    n = 600
    label, fresh_label = rng.integers(0, 2, (2, n))
    group, fold = np.arange(n), np.arange(n) % 5
    everything, nothing = np.ones(n, bool), np.zeros(n, bool)

    def logits(labels: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return np.stack([memorised(rng, labels, seen) for _ in range(4)], axis=1)

    def accuracy(labels: np.ndarray, score: np.ndarray) -> float:
        return float(((score >= 0) == (labels == 1)).mean())

    def outputs(values: np.ndarray) -> Outputs:
        features = tuple(column[:, None, None].repeat(3, axis=2).astype(np.float32) for column in values.T)
        return Outputs(values, values >= 0, features)

    fresh, out_of_fold = outputs(logits(fresh_label, nothing)), logits(label, nothing)
    leaking = outputs(logits(label, everything))
    stack = fit(strategy(kind), leaking, label, group)
    assert accuracy(label, stack.score(leaking)) > accuracy(fresh_label, stack.score(fresh)) + 0.15

    score = cross_fit(
        strategy(kind), out_of_fold, outputs(out_of_fold).features, label, group, fold, CalibrationConfig()
    )
    honest = fit(strategy(kind), outputs(out_of_fold), label, group)
    assert roc_auc_score(label, score) == pytest.approx(roc_auc_score(fresh_label, honest.score(fresh)), abs=0.05)


def test_members_read_as_they_are_score_as_the_ensemble_does(data: Data) -> None:
    """Where nothing is fitted, cross-fitting under the members' own calibrations changes nothing."""
    outputs, label, group = data
    logits, fold = outputs.logits * [3, 1, 0.3], np.arange(len(label)) % 5
    own = [Calibration(scale, 0.2, 0.5, 0.4, 0.6, "temperature") for scale in (3.0, 1.0, 0.3)]
    scores = cross_fit(strategy("noisy_or"), logits, None, label, group, fold, CalibrationConfig(), own)
    np.testing.assert_allclose(scores, fit(strategy("noisy_or"), outputs, label, group).score(outputs_of(logits, own)))
    refitted = cross_fit(strategy("noisy_or"), logits, None, label, group, fold, CalibrationConfig())
    assert np.abs(refitted - scores).max() > 0.1
