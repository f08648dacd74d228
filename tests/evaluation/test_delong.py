"""DeLong's test against the formulas of 1988 written out, and against the values that R's pROC publishes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dfd.evaluation.delong import delong, placements
from dfd.evaluation.paired import difference

# Ranks of three markers of 41 patients with poor and 72 with good outcome: the data set aSAH of R's package pROC
# (Turck et al., Intensive Care Medicine 36, 2010), rebuilt from the placement values in pROC's own tests
# (github.com/xrobin/pROC, tests/testthat/helper-deLongPlacementsCpp-expected.R). Ranks are all it takes.
POOR = {
    "wfns": "2 1 3 4 4 4 4 1 4 1 0 1 4 3 3 1 4 4 4 1 4 1 4 1 3 4 3 3 0 3 3 1 1 4 4 1 1 4 4 4 4",
    "s100b": "8 5 11 7 25 30 28 2 19 4 2 23 21 27 30 15 30 30 30 2 30 17 0 4 13 30 15 30 3 15 8 5 6 13 30 9 30 18 "
    "30 30 25",
    "ndka": "37 24 28 35 3 9 18 43 47 43 43 14 32 39 5 7 30 1 51 39 16 18 22 30 41 26 39 7 49 34 3 12 39 3 11 43 "
    "20 32 45 18 35",
}
GOOD = {
    "wfns": "0 0 0 0 4 0 1 1 0 1 1 0 0 0 1 0 1 0 0 2 3 0 3 0 4 4 0 0 1 3 0 0 1 1 0 1 0 1 1 0 0 0 0 1 0 1 0 0 2 1 "
    "3 1 0 3 0 0 4 3 1 1 0 0 0 2 0 1 1 3 3 0 0 0",
    "s100b": "8 9 5 1 26 12 5 5 1 3 1 4 6 2 12 2 6 8 12 1 11 9 20 4 29 26 11 2 24 26 6 3 4 3 1 8 5 9 10 1 1 4 1 4 "
    "3 11 4 3 19 6 16 2 5 18 2 1 14 22 5 10 3 9 5 2 1 12 10 26 12 10 29 27",
    "ndka": "0 8 6 17 4 34 4 38 29 38 36 46 10 4 23 4 4 50 25 13 13 38 2 6 4 12 27 6 33 44 6 4 23 10 6 27 42 40 "
    "15 21 48 4 36 13 17 17 33 2 36 23 10 17 38 17 21 6 13 17 42 8 23 26 44 19 23 10 42 15 31 40 4 29",
}
OUTCOME = np.repeat([1, 0], [41, 72])


def marker(name: str) -> Any:
    return np.array([int(rank) for rank in f"{POOR[name]} {GOOD[name]}".split()], dtype=float)


@pytest.mark.parametrize(
    ("first", "second", "z", "p", "low", "high"),
    # roc.test in pROC's tests/testthat/test-roc.test.R
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
)
def test_published_values(first: str, second: str, z: float, p: float, low: float, high: float) -> None:
    value, error = delong(OUTCOME, marker(first), marker(second))
    assert value / error == pytest.approx(z, rel=1e-12)
    found = difference(value, error, 41, "DeLong")
    assert (found.p, found.low, found.high) == pytest.approx((p, low, high), rel=1e-10)


@pytest.mark.parametrize(
    ("name", "auroc"), [("wfns", 0.823678861788618), ("s100b", 0.731368563685637), ("ndka", 0.611957994579946)]
)
def test_published_areas(name: str, auroc: float) -> None:
    above, below = placements(OUTCOME, marker(name))
    assert above.mean() == pytest.approx(auroc, abs=1e-12) and below.mean() == pytest.approx(auroc, abs=1e-12)


def formulas_of_1988(label: Any, first: Any, second: Any) -> tuple[float, float]:
    """Equations 3 to 7 of DeLong et al. by comparing every fake with every real."""
    covariances, means = [], []
    for by_fake in (True, False):
        components = []
        for score in (first, second):
            fakes, reals = score[label == 1], score[label == 0]
            psi = np.array([[1.0 if real < fake else 0.5 if real == fake else 0.0 for real in reals] for fake in fakes])
            components.append(psi.mean(axis=1 if by_fake else 0))
        covariances.append(np.cov(components, ddof=1) / len(components[0]))
        means.append(components[0].mean() - components[1].mean())
    covariance = covariances[0] + covariances[1]
    contrast = np.array([1, -1])
    return float(means[0]), float(contrast @ covariance @ contrast)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)),
        min_size=4,
        max_size=30,
    )
)
def test_equals_the_formulas_of_1988(rows: list[tuple[bool, int, int]]) -> None:
    label = np.array([1, 1, 0, 0, *[int(row[0]) for row in rows[4:]]])
    first, second = np.array([row[1:] for row in rows], dtype=float).T
    value, error = delong(label, first, second)
    expected, variance = formulas_of_1988(label, first, second)
    assert value == pytest.approx(expected, abs=1e-12)
    assert value == pytest.approx(roc_auc_score(label, first) - roc_auc_score(label, second), abs=1e-12)
    assert error**2 == pytest.approx(variance, abs=1e-12)


def test_only_the_order_matters_and_turning_the_pair_turns_the_sign() -> None:
    first, second = marker("wfns"), marker("ndka")
    value, error = delong(OUTCOME, np.exp(first), second**3)
    assert (value, error) == delong(OUTCOME, first, second)
    turned = delong(OUTCOME, second, first)
    assert turned == pytest.approx((-value, error))


def test_a_detector_does_not_differ_from_itself() -> None:
    assert delong(OUTCOME, marker("ndka"), 2 * marker("ndka")) == (0, 0)


def test_one_image_of_a_class_tells_no_error() -> None:
    value, error = delong(np.array([1, 0, 0]), np.array([2.0, 1, 3]), np.array([1.0, 2, 3]))
    assert value == 0.5 and np.isnan(error)
