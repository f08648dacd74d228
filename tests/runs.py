"""Finished runs as `dfd compare` finds them, made of simulated scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from dfd.config import EvaluationConfig
from dfd.evaluation.metrics import measure


def scores(separation: float, seed: int, n: int = 200, images: int = 1, data: str = "faces") -> pd.DataFrame:
    """A predictions table; all seeds share half of the noise. `images` of one class follow each other in a group."""
    label = np.repeat(np.arange(n // images) % 2, images)
    common, own = np.random.default_rng(99).normal(size=n), np.random.default_rng(seed).normal(size=n)
    logit = (separation * (label - 0.5) + np.sqrt(0.5) * (common + own)).astype(np.float32)
    prob = expit(separation * logit.astype(float))
    return pd.DataFrame(
        {
            "path": [f"{data}/{i}.jpg" for i in range(n)],
            "label": label,
            "split": "test",
            "source": np.where(label == 0, "camera", "gan"),
            "group": np.arange(n) // images,
            "sha256": [f"{data}{i:04}" for i in range(n)],
            "logit": logit,
            "prob": prob,
            "verdict": np.where(prob < 0.5, "real", "fake"),
            "error": pd.Series([None] * n, dtype=object),
        }
    )


def write_run(
    folder: Path, table: pd.DataFrame, bundle: str, *, data: str = "faces", prefix: str = "", **more: Any
) -> Path:
    """Measure the table and write the run's files; `more` goes into metrics.json."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / f"{prefix}predictions.parquet")
    about = {"data": data, "fingerprint": f"{data}-print", "split": "test", "bundle": bundle, "weights_sha256": bundle}
    metrics = {**about, **measure(table, 0.5, EvaluationConfig(resamples=100)), **more}
    (folder / f"{prefix}metrics.json").write_text(json.dumps(metrics))
    return folder
