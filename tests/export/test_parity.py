"""What the comparison finds, and when it refuses a graph."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dfd.config import ExportConfig
from dfd.ensemble.combiners import Majority
from dfd.errors import UserError
from dfd.export.parity import Answers, is_continuous, measure, refusal
from dfd.inference.engine import TorchEngine
from dfd.runtime import Runtime
from tests.factories import tiny_bundle, tiny_ensemble

N = 40


def answers(change: np.ndarray | float, alone: float = 0.0) -> Answers:
    """Logits from -4 to 4, reals below fakes but for a few; the graph's are higher by `change`."""
    logits = np.linspace(-4, 4, N, dtype=np.float32)[:, None]
    rows = pd.DataFrame({"label": [0] * 18 + [1, 0, 1, 0] + [1] * 18, "group": [str(row) for row in range(N)]})
    graph = (logits + np.reshape(change, (-1, 1))).astype(np.float32)
    return Answers(rows, logits, graph, graph[:8] + np.float32(alone), None, {})


@pytest.fixture
def engine(runtime: Runtime) -> TorchEngine:
    return TorchEngine(tiny_bundle(), runtime)


def test_the_figures_are_those_of_the_differences(engine: TorchEngine) -> None:
    change = np.zeros(N)
    change[3], change[4] = 0.5, -0.3
    found = measure(answers(change), engine)
    assert found["logit"]["max"] == pytest.approx(0.5, abs=1e-5)
    assert found["logit"]["mean"] == pytest.approx(0.8 / N, abs=1e-5)
    assert found["n"] == N and found["batch"] == {"max": 0.0, "mean": 0.0, "n": 8}
    assert found["flips"]["count"] == found["reversed"] == 0 and found["auroc"]["lost"] == 0


def test_changed_verdicts_and_lost_auroc_are_counted(engine: TorchEngine) -> None:
    change = np.zeros(N)
    change[0] = 8.0  # a real that is now called fake, above all fakes but one
    found = measure(answers(change), engine)
    assert found["flips"]["count"] == found["reversed"] == found["verdicts"]["real"]["fake"] == 1
    assert found["flips"]["low"] < found["flips"]["value"] == 1 / N < found["flips"]["high"]
    assert found["auroc"]["lost"] == pytest.approx(found["auroc"]["before"] - found["auroc"]["after"])
    assert found["auroc"]["lost"] > 0 and found["auroc"]["difference"]["value"] == pytest.approx(
        -found["auroc"]["lost"]
    )


@pytest.mark.parametrize(
    ("change", "alone", "precision", "reason"),
    [
        (0.0005, 0.0, "fp32", None),
        (0.002, 0.0, "fp32", "logit differs by up to 0.002, and tolerance=0.001"),
        (0.0, 0.002, "fp32", "an image alone and in a batch differ"),
        (0.05, 0.05, "bf16", None),
        (3.0, 0.0, "int8", "flip_tolerance=0.05"),
    ],
)
def test_the_tolerance_of_its_precision_decides(
    engine: TorchEngine, change: float, alone: float, precision: str, reason: str | None
) -> None:
    found = refusal(measure(answers(change, alone), engine), ExportConfig(precision=precision))
    assert found is None if reason is None else reason in str(found)


def test_a_loss_of_auroc_is_refused(engine: TorchEngine) -> None:
    change = np.zeros(N)
    change[:3] = 9.0
    config = ExportConfig(precision="int8", flip_tolerance=1.0)
    assert "of AUROC, and auroc_tolerance=0.01" in str(refusal(measure(answers(change), engine), config))


def test_a_graph_that_gives_no_number_is_refused(engine: TorchEngine) -> None:
    broken = answers(0.0)
    broken = replace(broken, graph=np.where(broken.graph > 3, np.nan, broken.graph))
    with pytest.raises(UserError, match="no finite logit for 5 of 40 images"):
        measure(broken, engine)


def test_votes_may_jump_where_a_networks_logit_hardly_moves() -> None:
    assert is_continuous(tiny_bundle()) and is_continuous(tiny_ensemble())
    assert not is_continuous(tiny_ensemble(Majority(2)))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize(
    "own", [{"logit": 9.0, "prob": 0.0}, {"logit": 0.0, "prob": 0.9}, {"logit": float("nan"), "prob": 0.0}]
)
def test_a_graph_whose_own_answer_is_another_is_refused(
    engine: TorchEngine, precision: str, own: dict[str, float]
) -> None:
    found = {**measure(answers(0.0), engine), "own": own}
    assert "the graph's own" in str(refusal(found, ExportConfig(precision=precision)))


def test_what_is_no_number_is_refused(engine: TorchEngine) -> None:
    found = measure(answers(0.0), engine)
    found["batch"]["max"] = float("nan")
    assert refusal(found, ExportConfig()) is not None


def test_lower_precision_is_not_accepted_by_images_of_one_class(engine: TorchEngine) -> None:
    asked = answers(0.0)
    found = measure(replace(asked, rows=asked.rows.assign(label=1)), engine)
    assert "both classes" in str(refusal(found, ExportConfig(precision="int8")))
    assert refusal(found, ExportConfig(precision="fp32")) is None
