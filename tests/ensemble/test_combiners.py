import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from dfd.ensemble.combiners import FeatureStack, Majority, Mean, NoisyOr, log_odds
from dfd.ensemble.outputs import Outputs

LOGITS = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(-30, 30))


def outputs(logits: np.ndarray) -> Outputs:
    return Outputs(logits, logits >= 0)


@given(LOGITS, st.sampled_from(["probability", "logit"]), st.integers(0, 4))
def test_all_weight_on_one_member_is_that_member(logits: np.ndarray, space: str, which: int) -> None:
    members = logits.shape[1]
    weights = tuple(float(member == which % members) for member in range(members))
    score = Mean(weights, space).score(outputs(logits))
    np.testing.assert_allclose(score, logits[:, which % members], rtol=1e-12, atol=1e-12)


@given(LOGITS, st.sampled_from(["probability", "logit"]))
def test_equal_weights_of_one_member_are_that_member(logits: np.ndarray, space: str) -> None:
    one = logits[:, :1]
    np.testing.assert_allclose(Mean((1.0,), space).score(outputs(one)), one[:, 0], rtol=1e-12, atol=1e-12)
    votes = Majority(1).score(outputs(one))
    assert ((votes >= 0) == (one[:, 0] >= 0)).all()


@given(LOGITS)
def test_the_mean_probability_is_the_mean_of_probabilities(logits: np.ndarray) -> None:
    weights = (1 / logits.shape[1],) * logits.shape[1]
    score = Mean(weights, "probability").score(outputs(logits))
    np.testing.assert_allclose(expit(score), expit(logits).mean(axis=1), rtol=1e-12, atol=1e-14)
    assert np.isfinite(score).all()


@given(LOGITS)
def test_a_majority_is_one_and_ties_go_by_mean_probability(logits: np.ndarray) -> None:
    members = logits.shape[1]
    said = Majority(members).score(outputs(logits)) >= 0
    votes, mean = (logits >= 0).sum(axis=1), expit(logits).mean(axis=1)
    clear = 2 * votes != members
    assert (said[clear] == (2 * votes > members)[clear]).all()
    near = np.abs(mean - 0.5) < 1e-12  # rounding decides there
    assert (said[~clear & ~near] == (mean > 0.5)[~clear & ~near]).all()


@given(LOGITS)
def test_noisy_or_is_fake_to_anybody(logits: np.ndarray) -> None:
    score = NoisyOr(logits.shape[1]).score(outputs(logits))
    np.testing.assert_allclose(expit(-score), expit(-logits).prod(axis=1), rtol=1e-9, atol=1e-300)
    assert (score >= logits.max(axis=1) - 1e-9).all()


def test_noisy_or_is_finite_and_never_falls_when_a_member_rises() -> None:
    rising = np.concatenate([np.linspace(-800, -40, 200), np.linspace(-40, 40, 2001), np.linspace(40, 800, 200)])
    for other in (-800.0, -21.0, -3.0, 0.0, 800.0):
        logits = np.stack([rising, np.full(len(rising), other)], axis=1)
        score = NoisyOr(2).score(outputs(logits))
        assert np.isfinite(score).all() and (np.diff(score) >= -1e-9).all()


def test_more_votes_rank_higher_and_among_equals_the_mean_probability() -> None:
    logits = np.array([[9.0, -1, -1], [0.1, 0.1, -9], [0.2, 0.2, -9], [0.1, 0.1, 0.1]])
    assert (np.diff(Majority(3).score(outputs(logits))) > 0).all()


def test_log_odds_stay_finite_and_exact_at_the_ends() -> None:
    prob = np.array([0.0, 1e-20, 0.5, 1 - 1e-16, 1.0])
    found = log_odds(prob, np.array([1.0, 1.0, 0.5, 1e-20, 0.0]))
    assert np.isfinite(found).all() and found[2] == 0
    assert found[1] == -found[3]


def test_a_stack_over_several_networks_means_their_answers() -> None:
    """A member of two networks, each standardised by its own location and scale, answers with the mean of both."""

    class Sum:
        def decision_function(self, inputs: np.ndarray) -> np.ndarray:
            return inputs.sum(axis=1)

    flat = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    stack = FeatureStack(
        2, (0, 1), (flat[0],) * 2, (flat[1],) * 2, np.zeros(4), np.eye(4, dtype=np.float32), Sum(), 1.0, 0.0, {}
    )
    places = [
        (np.array([[0, 0], [10, 10]], np.float32), np.array([[1, 1], [2, np.inf]], np.float32)),  # K = 2
        (np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)),
    ]
    features = (np.array([[[1, 2], [14, 99]]], np.float32), np.array([[[5, 6]]], np.float32))
    score = stack.over(places).score(Outputs(np.zeros((1, 2)), np.zeros((1, 2), bool), features))
    assert score.tolist() == [((1 + 2 + 11) + (2 + 0 + 11)) / 2]
