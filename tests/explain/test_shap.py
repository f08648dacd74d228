from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.explain.shap import coalitions, shares


def exact(game: np.ndarray, count: int) -> np.ndarray:
    """Shapley values by their definition; `game` [2 ** count] by the bits of the set."""
    values = np.zeros(count)
    for player in range(count):
        others = [one for one in range(count) if one != player]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                bits = sum(1 << one for one in chosen)
                values[player] += weight * (game[bits | 1 << player] - game[bits])
    return values


def test_many_draws_give_the_shapley_values() -> None:
    count, rng = 5, np.random.default_rng(0)
    game = rng.normal(size=2**count)
    present = coalitions(count, 40_000, rng)
    values = game[present @ (1 << np.arange(count))]
    assert shares(present, values, game[0], game[-1], ridge=0) == pytest.approx(exact(game, count), abs=0.05)


def test_an_additive_game_is_found_with_few_draws() -> None:
    worth = np.arange(10.0)
    present = coalitions(10, 60, np.random.default_rng(0))
    assert shares(present, present @ worth + 3, 3, worth.sum() + 3, ridge=0) == pytest.approx(worth)


@given(st.integers(1, 30), st.integers(10, 50), st.integers(0, 99))
def test_shares_always_add_up(count: int, draws: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = coalitions(count, draws, rng)
    found = shares(present, rng.normal(size=len(present)), -1.0, 4.0)
    assert len(found) == count and found.sum() == pytest.approx(5)


@given(st.integers(2, 30), st.integers(10, 51), st.integers(0, 99))
def test_each_draw_comes_with_its_opposite(count: int, draws: int, seed: int) -> None:
    present = coalitions(count, draws, np.random.default_rng(seed))
    assert len(present) in (draws, draws + 1)
    assert (present[::2] ^ present[1::2]).all() and present.any(axis=1).all() and not present.all(axis=1).any()
