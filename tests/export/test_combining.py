"""The formulas in a graph are those of `ensemble.combiners` and `evaluation.scaling`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from dfd.ensemble.combiners import Combiner, FeatureStack, Majority, Mean, NoisyOr, ScoreStack
from dfd.evaluation.calibration import Calibration
from dfd.export.combining import Combined, Scale, inexpressible
from dfd.inference.engine import Part, combine
from dfd.models.bundle import EnsembleBundle
from tests.factories import tiny_ensemble

ISOTONIC = Calibration(1.0, 0.0, 0.5, 0.4, 0.6, "isotonic", ((-2.0, 0.01), (-0.5, 0.2), (0.5, 0.2), (3.0, 0.995)))
FEATURES = 5
far = st.floats(-300, 300)


def logistic() -> LogisticRegression:
    rng = np.random.default_rng(0)
    return LogisticRegression().fit(rng.normal(size=(40, 2)), np.arange(40) % 2)


def feature_stack(kernel: str) -> FeatureStack:
    rng = np.random.default_rng(0)
    machine = SVC(kernel=kernel, gamma=0.3).fit(rng.normal(size=(40, 3)), np.arange(40) % 2)
    means = tuple(rng.normal(size=(views, FEATURES)).astype(np.float32) for views in (1, 1))
    scales = (np.full((1, FEATURES), 2, np.float32), np.array([[1, 2, np.inf, 1, 1]], np.float32))
    centre, components = rng.normal(size=2 * FEATURES), rng.normal(size=(2 * FEATURES, 3))
    arrays = (centre.astype(np.float32), components.astype(np.float32))
    return FeatureStack(2, (0, 1), means, scales, *arrays, machine, 1.7, -0.2, {})


COMBINERS = {
    "probability": Mean((0.3, 0.7), "probability"),
    "one alone": Mean((1.0, 0.0), "probability"),
    "logit": Mean((0.3, 0.7), "logit"),
    "majority": Majority(2),
    "noisy or": NoisyOr(2),
    "logistic": ScoreStack(2, (1, 0), logistic(), {}),
    "one chosen": ScoreStack(2, (1,), LogisticRegression().fit([[-1.0], [0.5], [2.0]], [0, 0, 1]), {}),
    "linear": feature_stack("linear"),
    "rbf": feature_stack("rbf"),
}


def ensemble(combiner: Combiner) -> EnsembleBundle:
    """Its second member is calibrated by isotonic regression."""
    bundle = tiny_ensemble(combiner)
    return replace(bundle, members=(bundle.members[0], replace(bundle.members[1], calibration=ISOTONIC)))


@pytest.mark.parametrize("name", COMBINERS)
def test_a_graph_combines_as_the_bundle_does(name: str) -> None:
    bundle = ensemble(COMBINERS[name])
    rng = np.random.default_rng(1)
    spread = np.concatenate([rng.normal(0, 2, (200, 2)), rng.normal(0, 200, (50, 2))]).astype(np.float32)
    features = rng.normal(size=(2, 250, FEATURES)).astype(np.float32)
    parts = [Part(spread[:, one], features[one]) for one in range(2)]
    tensors = [(torch.tensor(part.logits), torch.tensor(part.features)) for part in parts]
    assert inexpressible(bundle) is None
    assert np.allclose(Combined(bundle)(tensors).numpy(), combine(bundle, parts), rtol=1e-6, atol=1e-6)
    assert np.array_equal(Combined(bundle).member_logits(tensors).numpy(), spread)


def test_an_ensemble_of_ensembles_is_combined_from_the_inside() -> None:
    rng = np.random.default_rng(2)
    inner = ensemble(COMBINERS["majority"])
    bundle = replace(inner, members=(inner, inner.members[0]), combiner=COMBINERS["logit"])
    logits = rng.normal(0, 2, (3, 50)).astype(np.float32)
    expected = combine(bundle, [Part(each, None) for each in logits])
    assert np.allclose(Combined(bundle)([(torch.tensor(each), None) for each in logits]).numpy(), expected, atol=1e-6)


def test_boosted_trees_are_left_out_and_the_reason_told() -> None:
    trees = HistGradientBoostingClassifier(max_iter=2).fit(
        np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    )
    bundle = tiny_ensemble(ScoreStack(2, (0, 1), trees, {}))
    assert "HistGradientBoostingClassifier" in str(inexpressible(bundle))


@pytest.mark.parametrize("calibration", [Calibration(1.5, -0.3, 0.5, 0.4, 0.6), ISOTONIC])
@given(logit=far)
def test_probabilities_are_those_of_the_calibration(calibration: Calibration, logit: float) -> None:
    value = torch.tensor([logit], dtype=torch.float64)
    assert Scale(calibration).prob(value).item() == pytest.approx(float(calibration.prob(logit)), abs=1e-12)
    assert Scale(calibration).log_odds(value).item() == pytest.approx(
        float(calibration.calibrated_logit(logit)), abs=1e-9
    )
