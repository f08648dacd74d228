from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from dfd.config import EvaluationConfig
from dfd.evaluation.metrics import measure
from dfd.report.page import ReportContext

HOSTILE = "<script>alert('x')</script>&\"\n\udcff\u202e.jpg"


@pytest.fixture
def predictions() -> pd.DataFrame:
    """120 rows of two sources; the most wrong fake and an unreadable file have a hostile name."""
    generator = np.random.default_rng(0)
    label = np.arange(120) % 2
    logit = generator.normal(2.0 * (label - 0.5), 1.0)
    logit[1], logit[0] = -9.0, 9.0
    prob = expit(logit)
    paths = [f"{i}.png" for i in range(120)]
    paths[1] = paths[7] = HOSTILE
    table = pd.DataFrame(
        {
            "path": pd.Series(paths, dtype=object),
            "label": label,
            "source": np.where(label == 0, "camera", "[red]gan<b>"),
            "group": np.arange(120),
            "logit": logit,
            "prob": prob,
            "verdict": np.where(prob < 0.4, "real", np.where(prob < 0.6, "unsure", "fake")),
            "error": pd.Series([None] * 120, dtype=object),
        }
    )
    table.loc[7, ["logit", "prob", "verdict", "error"]] = [np.nan, np.nan, None, "cut off at <byte> 7"]
    return table


@pytest.fixture
def history() -> pd.DataFrame:
    values = {"epoch": [1, 2, 3], "step": [10, 20, 30], "train_loss": [0.7, 0.5, 0.4], "val_loss": [0.7, 0.6, None]}
    return pd.DataFrame(values | {"val_auroc": [0.6, 0.7, 0.8], "lr": [1e-3, 5e-4, 0.0]})


@pytest.fixture
def context(predictions: pd.DataFrame, history: pd.DataFrame, tmp_path: Path) -> ReportContext:
    Image.new("RGB", (400, 200), "teal").save(tmp_path / "0.png")  # the most wrong real; the others are missing
    metrics = measure(predictions, 0.5, EvaluationConfig(resamples=100))
    facts = {"Data": {"name": "faces & <more>", "split": "test"}, "Inference time": {"median an image": "21 ms"}}
    return ReportContext(
        "A <title>", metrics, predictions, tmp_path, facts, history, "dfd eval \\\n  x=<y>", (0.4, 0.6)
    )
