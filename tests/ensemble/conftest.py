import numpy as np
import pytest

from dfd.ensemble.outputs import Outputs


def synthetic(n: int = 300, seed: int = 0, width: int = 30) -> tuple[Outputs, np.ndarray, np.ndarray]:
    """Three members of falling skill, features with some signal, labels and groups of one or two rows."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    logits = rng.normal(size=(n, 3)) + label[:, None] * np.array([1.5, 0.8, 0.1]) - 0.4
    direction = np.random.default_rng(99).normal(size=(3, width)) * 0.25  # the same for every seed
    features = tuple(
        (rng.normal(size=(n, 1, width)) + label[:, None, None] * one).astype(np.float32) for one in direction
    )
    return Outputs(logits, logits > 0, features), label, np.arange(n) // 2


@pytest.fixture
def data() -> tuple[Outputs, np.ndarray, np.ndarray]:
    return synthetic()
