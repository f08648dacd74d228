from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from dfd.config import EvaluationConfig


def make_predictions(n: int = 240, separation: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """A predictions table of three sources, half of its rows fake, every row a group of its own."""
    generator = np.random.default_rng(seed)
    label = np.arange(n) % 2
    logit = generator.normal(separation * (label - 0.5), 1.0)
    prob = expit(logit * separation)
    return pd.DataFrame(
        {
            "path": [f"{i}.jpg" for i in range(n)],
            "label": label,
            "split": "test",
            "source": np.where(label == 0, "camera", np.where(np.arange(n) % 4 == 1, "gan", "diffusion")),
            "group": np.arange(n),
            "sha256": "0",
            "logit": logit,
            "prob": prob,
            "verdict": np.where(prob < 0.4, "real", np.where(prob < 0.6, "unsure", "fake")),
            "error": pd.Series([None] * n, dtype="str"),
        }
    )


@pytest.fixture
def predictions() -> Callable[..., pd.DataFrame]:
    return make_predictions


@pytest.fixture
def settings() -> EvaluationConfig:
    return EvaluationConfig(resamples=200)
