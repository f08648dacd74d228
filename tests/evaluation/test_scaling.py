"""The three maps keep the order of the logits and find what they should; the choice among them is by held-out rows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from dfd.errors import UserError
from dfd.evaluation.scaling import (
    FITS,
    ISOTONIC_GROUPS,
    METHODS,
    Scaling,
    choose,
    fit,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    platt_targets,
)

STEPS = Scaling("isotonic", knots=((-1.0, 0.1), (0.0, 0.1), (1.0, 0.9)))
MAPS = st.one_of(
    st.builds(Scaling, st.just("platt"), st.floats(0.01, 100), st.floats(-10, 10)),
    st.builds(Scaling, st.just("temperature"), st.floats(0.01, 100)),
    st.just(STEPS),
)


def drawn(n: int, seed: int, slope: float = 1.0, shift: float = 0.0) -> tuple[Any, Any]:
    """Logits [n], and labels whose log odds are slope * logit + shift."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(0, 2, n)
    return logit, (generator.random(n) < expit(slope * logit + shift)).astype(int)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), MAPS)
def test_prob_is_bounded_and_keeps_the_order(logits: list[float], found: Scaling) -> None:
    prob = found.prob(np.sort(logits))
    assert ((prob >= 0) & (prob < 1)).all() and prob.dtype == np.float64
    assert (np.diff(prob) >= 0).all()
    assert np.isfinite(found.log_odds(logits)).all()


@pytest.mark.parametrize("found", [Scaling("platt"), Scaling("isotonic", knots=((-1.0, 0.0), (1.0, 1.0)))])
def test_prob_is_stable_and_keeps_nan(found: Scaling) -> None:
    prob = found.prob([-1e30, -800, 0, 800, 1e30, np.inf, np.nan])
    assert prob[:6].tolist() == pytest.approx([0, 0, 0.5, 1, 1, 1]) and np.isnan(prob[6])
    assert (prob[:6] < 1).all()


def test_log_odds_are_exact_for_affine_maps_and_invert_the_probability_of_isotonic() -> None:
    logit = np.array([-900.0, -1.0, 0.3, 900.0])
    assert (Scaling("platt", 2.5, 0.3).log_odds(logit) == logit / 2.5 + 0.3).all()
    assert expit(STEPS.log_odds(logit)) == pytest.approx(STEPS.prob(logit))
    assert np.isfinite(Scaling("isotonic", knots=((0.0, 0.0), (1.0, 1.0))).log_odds([-5.0, 5.0])).all()


def test_platt_finds_a_known_scale_and_temperature_has_no_bias() -> None:
    logit, label = drawn(20_000, seed=0)
    found = fit_platt(3 * logit + 5, label)
    assert found.temperature == pytest.approx(3, rel=0.05) and found.bias == pytest.approx(-5 / 3, abs=0.05)
    found = fit_temperature(3 * logit, label)
    assert found.temperature == pytest.approx(3, rel=0.05) and found.bias == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_on_the_fitted_rows_is_the_least(method: str) -> None:
    """Against small changes of what was fitted; Platt's targets are what is fitted to."""
    logit, label = drawn(500, seed=3, slope=0.4, shift=1.0)
    target = platt_targets(label)

    def loss(prob: Any) -> float:
        return float(-(target * np.log(prob) + (1 - target) * np.log1p(-prob)).mean())

    found = FITS[method](logit, label)
    least = loss(found.prob(logit))
    for factor in (0.98, 1.02):
        other = expit(factor * found.log_odds(logit))
        assert loss(other) > least
    if method != "temperature":
        assert loss(expit(found.log_odds(logit) + 0.02)) > least


@given(st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 1)), min_size=2, max_size=40))
def test_isotonic_equals_sklearn(rows: list[tuple[int, int]]) -> None:
    logit, label = np.array(rows, dtype=float).T
    theirs = IsotonicRegression(out_of_bounds="clip").fit(logit, platt_targets(label))
    at = np.linspace(-8, 8, 65)
    found = fit_isotonic(logit, label)
    assert found.prob(at) == pytest.approx(theirs.predict(at), abs=1e-12)
    assert len(found.knots) <= len(np.unique(logit))


@pytest.mark.parametrize("scale", [1e-4, 1e4])
@pytest.mark.parametrize("method", METHODS)
def test_the_scale_of_the_logits_does_not_matter(scale: float, method: str) -> None:
    logit, label = drawn(400, seed=1)
    prob = fit(scale * logit, label, np.arange(400), method).prob(scale * logit)
    assert prob == pytest.approx(fit(logit, label, np.arange(400), method).prob(logit), abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_separated_classes_get_modest_probabilities(method: str) -> None:
    few = FITS[method](np.array([-1.0, -0.9, 0.9, 1.0]), np.array([0, 0, 1, 1]))
    assert 0.1 < few.temperature < 10
    assert few.prob([1.0])[0] < 0.9  # four images prove little
    many = FITS[method](np.repeat([-1.0, 1.0], 500), np.repeat([0, 1], 500))
    assert 0.99 < many.prob([1.0])[0] < 1


def test_equal_logits_give_the_share_of_fakes() -> None:
    for method in ("platt", "isotonic"):
        found = FITS[method](np.full(40, 7.0), (np.arange(40) < 30).astype(int))
        assert found.temperature == 1 and found.prob([7.0])[0] == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_a_detector_worse_than_chance_is_not_turned_around(method: str) -> None:
    prob = FITS[method](np.array([3.0, 2.0, -2.0, -3.0]), np.array([0, 0, 1, 1])).prob([-3.0, 3.0])
    assert prob[0] <= prob[1] and prob[1] - prob[0] < 0.02


def test_the_choice_is_the_simplest_map_that_serves() -> None:
    group = np.arange(3000)
    logit, label = drawn(3000, seed=5, slope=0.5)
    assert choose(logit, label, group) == "temperature"
    logit, label = drawn(3000, seed=5, slope=0.5, shift=1.0)
    assert choose(logit, label, group) == "platt"
    bent = np.where(logit > 0, 8 * logit, logit)  # no line in the log odds
    assert choose(bent, label, group) == "isotonic"


def test_isotonic_needs_independent_rows_in_number() -> None:
    logit, label = drawn(3000, seed=5, slope=0.5, shift=1.0)
    bent = np.where(logit > 0, 8 * logit, logit)
    assert choose(bent, label, np.arange(3000) % (ISOTONIC_GROUPS - 1)) == "platt"


def test_copies_of_a_row_are_not_more_evidence() -> None:
    """A bias that chance explains is fitted when each row counts five times over, and not when copies are one group."""
    logit, label = drawn(150, seed=2, shift=0.35)
    logits, labels, copies = np.tile(logit, 5), np.tile(label, 5), np.tile(np.arange(150), 5)
    assert choose(logit, label, np.arange(150)) == choose(logits, labels, copies) == "temperature"
    assert choose(logits, labels, np.arange(750)) == "platt"


@pytest.mark.parametrize("label", [[0, 1], [0, 1, 1, 1], [0, 0, 1, 1]])
def test_few_rows_still_get_an_answer(label: list[int]) -> None:
    rows = len(label)
    assert choose(np.arange(rows, dtype=float), np.array(label), np.arange(rows)) in METHODS
    assert choose(np.arange(rows, dtype=float), np.array(label), np.zeros(rows)) == "platt"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "beta"}, "not one of temperature"),
        ({"method": "platt", "temperature": 0.0}, "not above 0"),
        ({"method": "platt", "knots": ((0.0, 0.5),)}, "isotonic alone"),
        ({"method": "isotonic"}, "isotonic alone"),
        ({"method": "isotonic", "knots": ((0.0, 0.5), (0.0, 0.6))}, "rising order"),
        ({"method": "isotonic", "knots": ((0.0, 0.5), (1.0, 0.4))}, "rising order"),
        ({"method": "isotonic", "knots": ((0.0, 0.5), (1.0, float("nan")))}, "finite"),
        ({"method": "isotonic", "knots": ((0.0, 0.5), (1.0, 1.1))}, "no probabilities"),
    ],
)
def test_senseless_values_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Scaling(**values)
