from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from dfd.config import EvaluationConfig
from dfd.evaluation import metrics
from dfd.evaluation.calibration import Calibration
from dfd.evaluation.robustness import measure, worst

CALIBRATION = Calibration(temperature=1.5, bias=0.2, threshold=0.55, unsure_low=0.45, unsure_high=0.65)
SETTINGS = EvaluationConfig(resamples=400, seed=3)
CELLS = [("jpeg", 90.0), ("jpeg", 30.0), ("noise", 5.0)]
SHARE = ("value", "low", "high")


def example(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [n, 4], labels, groups of two: a mild change, one that halves the signal, and a shift towards 'fake'."""
    random = np.random.default_rng(seed)
    label = np.arange(n) % 2
    signal, rest = 2.5 * (label - 0.5), random.normal(0, 1, n)
    small = random.normal(0, 0.1, (n, 2))
    columns = [signal + rest, signal + rest + small[:, 0], signal / 2 + rest, signal + rest + 1.5 + small[:, 1]]
    return np.stack(columns, axis=1), label, np.arange(n) // 2


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return measure(*example(), CELLS, CALIBRATION, SETTINGS)


def test_figures_are_scikit_learns(found: dict[str, Any]) -> None:
    logit, label, _ = example()
    for column, part in enumerate([found["unchanged"], *found["cells"]]):
        called = CALIBRATION.prob(logit[:, column]) >= CALIBRATION.threshold
        assert part["auroc"]["value"] == pytest.approx(roc_auc_score(label, logit[:, column]), abs=1e-12)
        assert part["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(label, called), abs=1e-12)
        assert part["recall"]["value"] == pytest.approx(recall_score(label, called), abs=1e-12)
        assert part["specificity"]["value"] == pytest.approx(recall_score(1 - label, ~called), abs=1e-12)
    changes = [cell["auroc_change"]["value"] for cell in found["cells"]]
    aurocs = [cell["auroc"]["value"] for cell in found["cells"]]
    assert changes == pytest.approx([auroc - found["unchanged"]["auroc"]["value"] for auroc in aurocs])


def test_unchanged_images_have_the_figures_and_intervals_of_the_ordinary_report(found: dict[str, Any]) -> None:
    logit, label, group = example()
    prob = CALIBRATION.prob(logit[:, 0])
    table = {"path": "x", "label": label, "source": "s", "group": group, "logit": logit[:, 0], "prob": prob}
    rows = pd.DataFrame({**table, "verdict": CALIBRATION.verdict(prob), "error": None})
    plain = metrics.measure(rows, CALIBRATION.threshold, SETTINGS)
    for key, figure in found["unchanged"].items():
        assert figure == plain["overall"][key]
    assert {key: found[key] for key in ("n", "n_real", "n_fake", "n_groups", "threshold")} == {
        key: plain[key] for key in ("n", "n_real", "n_fake", "n_groups", "threshold")
    }


def test_flips_are_counted_each_way(found: dict[str, Any]) -> None:
    logit, _, _ = example()
    prob = CALIBRATION.prob(logit)
    called, unsure = prob >= CALIBRATION.threshold, CALIBRATION.verdict(prob) == "unsure"
    for column, cell in enumerate(found["cells"], start=1):
        to_fake, to_real = called[:, column] & ~called[:, 0], ~called[:, column] & called[:, 0]
        became = int((unsure[:, column] & ~unsure[:, 0]).sum())
        expected = {"real_to_fake": int(to_fake.sum()), "fake_to_real": int(to_real.sum()), "became_unsure": became}
        assert cell["flips"] == expected
        assert cell["flipped"]["value"] == pytest.approx((to_fake | to_real).mean())
        assert cell["became_unsure"]["value"] == pytest.approx(became / 200)
    assert found["cells"][2]["flips"]["fake_to_real"] == 0 < found["cells"][2]["flips"]["real_to_fake"]


def test_paired_intervals_tell_what_separate_ones_cannot(found: dict[str, Any]) -> None:
    """Halving the signal is a sure loss; a shift of all scores is none, for the ranking."""
    mild, halved, shifted = found["cells"]
    assert halved["auroc_change"]["high"] < 0
    assert shifted["auroc_change"]["low"] < 0 < shifted["auroc_change"]["high"]
    assert shifted["balanced_accuracy_change"]["high"] < 0
    paired = mild["auroc_change"]["high"] - mild["auroc_change"]["low"]
    assert paired < 0.4 * (mild["auroc"]["high"] - mild["auroc"]["low"])


def test_paired_intervals_hold_the_truth() -> None:
    """In 200 draws, a change that does nothing on average is called sure about 5 times in 100."""
    settings, wrong = EvaluationConfig(resamples=200), 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        label = np.arange(160) % 2
        logit = 1.5 * label[:, None] + random.normal(0, 1, (160, 1)) + random.normal(0, 0.5, (160, 2))
        (cell,) = measure(logit, label, np.arange(160), [("noise", 1.0)], CALIBRATION, settings)["cells"]
        wrong += not cell["auroc_change"]["low"] <= 0 <= cell["auroc_change"]["high"]
    assert 2 <= wrong <= 20


def test_the_worst_cell_and_the_means(found: dict[str, Any]) -> None:
    assert found["worst"]["auroc"] == {"kind": "jpeg", "strength": 30.0}
    lowest = min(found["cells"], key=lambda cell: cell["balanced_accuracy"]["value"])
    assert found["worst"]["balanced_accuracy"] == {"kind": lowest["kind"], "strength": lowest["strength"]}
    for key in ("auroc", "flipped", "auroc_change"):
        values = [cell[key]["value"] for cell in found["cells"]]
        assert found["kinds"]["jpeg"][key]["value"] == pytest.approx(np.mean(values[:2]))
        assert found["kinds"]["noise"][key] == pytest.approx(found["cells"][2][key])
        assert found["average"][key]["value"] == pytest.approx((np.mean(values[:2]) + values[2]) / 2)
        assert found["average"][key]["low"] < found["average"][key]["value"] < found["average"][key]["high"]
    assert worst([{"kind": "x", "strength": 1, "auroc": {"value": None}}], "auroc") is None


def test_an_identical_version_changes_nothing_within_what_the_rows_can_tell() -> None:
    logit, label, group = example()
    cells = measure(logit[:, [0, 0]], label, group, [("crop", 1.0)], CALIBRATION, SETTINGS)["cells"]
    assert [cells[0]["auroc_change"]["value"], cells[0]["flipped"]["value"]] == [0, 0]
    assert cells[0]["auroc_change"]["low"] == -cells[0]["auroc_change"]["high"] < 0
    assert 0 == cells[0]["flipped"]["low"] < cells[0]["flipped"]["high"] < 0.05


def test_images_that_a_change_failed_on_are_left_out_of_both_sides() -> None:
    logit, label, group = example()
    logit[::7, 2] = np.nan
    kept = ~np.isnan(logit[:, 2])
    cells = measure(logit, label, group, CELLS, CALIBRATION, SETTINGS)["cells"]
    assert [cell["n"] for cell in cells] == [200, int(kept.sum()), 200]
    expected = roc_auc_score(label[kept], logit[kept, 2]) - roc_auc_score(label[kept], logit[kept, 0])
    assert cells[1]["auroc_change"]["value"] == pytest.approx(expected)
    assert cells[1]["auroc_change"]["low"] <= expected <= cells[1]["auroc_change"]["high"]


def test_images_that_cannot_be_read_count_nowhere() -> None:
    logit, label, group = example()
    broken = np.vstack([np.full((2, 4), np.nan), logit])
    kept = measure(logit, label, group, CELLS, CALIBRATION, SETTINGS)
    more = measure(broken, np.append([0, 1], label), np.append([0, 0], group), CELLS, CALIBRATION, SETTINGS)
    for before, after in zip(kept["cells"], more["cells"], strict=True):
        assert (before["n"], before["auroc"]["value"]) == (after["n"], after["auroc"]["value"])


@pytest.mark.parametrize(
    ("label", "reason", "known"), [(0, "no fake images", "specificity"), (1, "no real images", "recall")]
)
def test_one_class_has_no_auroc_but_flips(label: int, reason: str, known: str) -> None:
    logit, _, group = example()
    found = measure(logit, np.full(200, label), group, CELLS, CALIBRATION, SETTINGS)
    nothing = {"value": None, "low": None, "high": None, "n": 200, "reason": reason}
    assert found["cells"][0]["auroc"] == found["cells"][0]["auroc_change"] == nothing
    assert found["cells"][0][known]["value"] is not None and found["cells"][0]["flipped"]["value"] is not None
    assert found["worst"] == {"auroc": None, "balanced_accuracy": None}


def test_no_readable_image_at_all() -> None:
    found = measure(np.full((4, 4), np.nan), np.array([0, 1, 0, 1]), np.arange(4), CELLS, CALIBRATION, SETTINGS)
    assert found["n"] == 0 and found["cells"][0]["flipped"]["reason"] == "no images"


def test_columns_have_to_be_the_cells() -> None:
    with pytest.raises(ValueError, match=r"logit is \(2, 2\), expected \(2, 4\)"):
        measure(np.zeros((2, 2)), np.array([0, 1]), np.arange(2), CELLS, CALIBRATION, SETTINGS)
