"""What `measure` says about a table, and that it never says more than the rows can tell."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.metrics import roc_auc_score

from dfd.config import EvaluationConfig
from dfd.errors import UserError
from dfd.evaluation.metrics import NAMES, measure

Make = Callable[..., pd.DataFrame]


def figures_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [result["overall"], *(source["metrics"] for source in result["by_source"].values())]
    return [figure for part in parts for figure in part.values()] + [result["verdicts"]["coverage"]]


def test_every_figure_has_n_and_an_interval_around_it(predictions: Make, settings: EvaluationConfig) -> None:
    result = measure(predictions(), 0.5, settings)
    assert set(result["overall"]) == set(NAMES)
    for figure in figures_of(result):
        assert figure["n"] > 0
        if figure["value"] is None:
            assert figure["reason"] and figure["low"] is None and figure["high"] is None
        else:
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
            assert figure["low"] < figure["high"]


def test_result_is_json_without_nan_and_repeats(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    first = json.dumps(measure(table, 0.5, settings), allow_nan=False)
    assert first == json.dumps(measure(table, 0.5, settings), allow_nan=False)
    assert first != json.dumps(measure(table, 0.5, EvaluationConfig(resamples=200, seed=1)), allow_nan=False)


def test_unreadable_and_unlabelled_rows_are_counted_and_not_measured(
    predictions: Make, settings: EvaluationConfig
) -> None:
    table = predictions()
    whole = measure(table, 0.5, settings)
    extra = predictions(4, seed=9)
    extra["source"] = ["gan", "broken", "gan", "gan"]
    extra.loc[:1, ["logit", "prob", "verdict", "error"]] = [np.nan, np.nan, None, "truncated"]
    extra.loc[2:, "label"] = -1
    result = measure(pd.concat([table, extra], ignore_index=True), 0.5, settings)
    assert (result["n"], result["n_unreadable"], result["n_unlabelled"]) == (240, 2, 2)
    assert result["overall"] == whole["overall"]
    assert result["by_source"]["gan"]["n_unreadable"] == 1
    assert result["by_source"]["broken"]["label"] == "unreadable"


def test_confusion_and_verdicts_count_rows(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions(8)
    table["prob"] = [0.1, 0.9, 0.7, 0.5, 0.2, 0.1, 0.5, 0.9]  # labels 0 1 0 1 0 1 0 1
    table["verdict"] = ["real", "fake", "fake", "unsure", "real", "real", "unsure", "fake"]
    result = measure(table, 0.5, settings)
    assert result["confusion"] == {"tp": 3, "fp": 2, "tn": 2, "fn": 1}
    verdicts = result["verdicts"]
    assert (verdicts["real"], verdicts["unsure"], verdicts["fake"]) == (3, 2, 3)
    assert verdicts["coverage"]["value"] == 0.75
    assert verdicts["error"]["value"] == pytest.approx(2 / 6) and verdicts["error"]["n"] == 6


def test_a_source_of_one_class_is_compared_with_all_of_the_other(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    source = measure(table, 0.5, settings)["by_source"]["gan"]
    own, others = table[table["source"] == "gan"], table[table["label"] == 0]
    both = pd.concat([own, others])
    assert source["label"] == "fake" and source["n"] == len(own) and source["compared_with"] == "all real rows"
    assert source["metrics"]["accuracy"]["value"] == pytest.approx((own["prob"] >= 0.5).mean())
    assert source["metrics"]["accuracy"]["n"] == len(own)
    assert source["metrics"]["auroc"]["value"] == pytest.approx(roc_auc_score(both["label"], both["logit"]))
    assert source["metrics"]["auroc"]["n"] == len(both)
    assert source["metrics"]["brier"]["value"] == pytest.approx(((1 - own["prob"]) ** 2).mean())
    assert source["metrics"]["ece"]["reason"] == "images of one class only"
    assert source["metrics"]["specificity"]["reason"] == "no real images"


def test_a_source_of_both_classes_stands_alone(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    table["source"] = np.where(np.arange(240) < 120, "first", "second")
    half = table[:120]
    found = measure(table, 0.5, settings)["by_source"]["first"]
    assert found["label"] == "both"
    assert found["metrics"]["auroc"]["value"] == pytest.approx(roc_auc_score(half["label"], half["logit"]))


def test_a_missing_source_has_a_name(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    table["source"] = None
    assert list(measure(table, 0.5, settings)["by_source"]) == ["(none)"]


@pytest.mark.parametrize(("label", "absent"), [(0, "fake"), (1, "real")])
def test_one_class_only(predictions: Make, settings: EvaluationConfig, label: int, absent: str) -> None:
    table = predictions()
    overall = measure(table[table["label"] == label], 0.5, settings)["overall"]
    for key in ("auroc", "ap", "eer", "tpr_at_fpr_5", "balanced_accuracy", "precision", "f1"):
        assert overall[key]["value"] is None and overall[key]["reason"] == f"no {absent} images"
    assert overall["accuracy"]["value"] is not None


def test_no_rows_at_all(predictions: Make, settings: EvaluationConfig) -> None:
    result = measure(predictions(4).iloc[:0], 0.5, settings)
    json.dumps(result, allow_nan=False)
    assert result["n"] == 0 and result["by_source"] == {}
    assert {figure["reason"] for figure in result["overall"].values()} == {"no images"}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_tiny_tables(predictions: Make, settings: EvaluationConfig, n: int) -> None:
    result = measure(predictions(n), 0.5, settings)
    json.dumps(result, allow_nan=False)
    accuracy = result["overall"]["accuracy"]
    assert accuracy["high"] - accuracy["low"] > 0.4  # a few images tell little


def test_perfect_separation_is_not_certainty(predictions: Make, settings: EvaluationConfig) -> None:
    overall = measure(predictions(separation=40.0), 0.5, settings)["overall"]
    for key in ("auroc", "ap", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "tpr_at_fpr_5"):
        assert overall[key]["value"] == 1 and 0.95 < overall[key]["low"] < 0.99
    assert overall["eer"]["value"] == 0 and 0.01 < overall["eer"]["high"] < 0.05


def test_equal_scores_are_guessing(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions().assign(logit=0.3, prob=0.57)
    overall = measure(table, 0.5, settings)["overall"]
    assert overall["auroc"]["value"] == 0.5 and overall["auroc"]["low"] < 0.5 < overall["auroc"]["high"]


def test_nothing_called_fake(predictions: Make, settings: EvaluationConfig) -> None:
    overall = measure(predictions(), 1.0, settings)["overall"]
    assert overall["precision"]["value"] is None and overall["precision"]["reason"] == "nothing is called fake"
    assert overall["recall"]["value"] == 0 and overall["f1"]["value"] == 0


def test_precision_undefined_in_some_resamples_says_so(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    threshold = table["prob"].nlargest(2).iloc[-1]  # two rows are called fake: many resamples hold neither
    assert measure(table, threshold, settings)["overall"]["precision"]["left_out"] > 0


def test_a_false_positive_rate_needs_enough_reals(predictions: Make, settings: EvaluationConfig) -> None:
    overall = measure(predictions(100), 0.5, settings)["overall"]
    assert overall["tpr_at_fpr_1"]["reason"] == "needs 100 real images"
    assert overall["tpr_at_fpr_5"]["value"] is not None


def test_groups_widen_the_intervals(predictions: Make, settings: EvaluationConfig) -> None:
    table = pd.concat([predictions(60)] * 4, ignore_index=True)  # every image four times

    def width(group: Any) -> float:
        auroc = measure(table.assign(group=group), 0.5, settings)["overall"]["auroc"]
        return float(auroc["high"] - auroc["low"])

    copies = np.tile(np.arange(60), 4)
    assert width(copies) > 1.6 * width(np.arange(240))


@pytest.mark.parametrize("prob", [np.nan, 1.5, -0.1])
def test_a_row_without_error_and_probability_is_refused(
    predictions: Make, settings: EvaluationConfig, prob: float
) -> None:
    table = predictions()
    table.loc[3, "prob"] = prob
    with pytest.raises(UserError, match=r"1 rows.*'3\.jpg'"):
        measure(table, 0.5, settings)


def test_an_unknown_label_is_refused(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    table.loc[0, "label"] = 2
    with pytest.raises(UserError, match=r"\[0, 1, 2\]"):
        measure(table, 0.5, settings)


def test_rows_may_have_thresholds_of_their_own(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions()
    whole = measure(table, 0.5, settings)
    assert "threshold_low" not in whole
    same = measure(table.assign(threshold=0.5), 0.9, settings)  # the column takes the place of the argument
    assert same["overall"] == whole["overall"] and same["by_source"] == whole["by_source"]
    assert (same["threshold"], same["threshold_low"], same["threshold_high"]) == (0.5, 0.5, 0.5)
    first = np.arange(240) < 60
    own = measure(table.assign(threshold=np.where(first, 0.0, 1.0)), 0.5, settings)
    assert own["confusion"]["tp"] == table["label"][:60].sum() and own["confusion"]["fn"] == table["label"][60:].sum()
    assert (own["threshold"], own["threshold_low"], own["threshold_high"]) == (0.75, 0, 1)


def test_an_unreadable_row_needs_no_threshold_but_the_others_do(predictions: Make, settings: EvaluationConfig) -> None:
    table = predictions().assign(threshold=0.5)
    table.loc[2, ["logit", "prob", "verdict", "error", "threshold"]] = [np.nan, np.nan, None, "gone", np.nan]
    assert measure(table, 0.5, settings)["n"] == 239
    assert measure(table.iloc[2:3], 0.5, settings)["threshold"] == 0.5  # no row to take it from
    table.loc[3, "threshold"] = np.nan
    with pytest.raises(UserError, match=r"1 rows have no threshold.*'3\.jpg'"):
        measure(table, 0.5, settings)


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_equal_sklearns(predictions: Make, seed: int) -> None:
    table = predictions(n=61 + 40 * seed, separation=0.5 + seed, seed=seed)
    table[["logit", "prob"]] = table[["logit", "prob"]].round(1)  # ties
    label, logit, prob = (table[name] for name in ("label", "logit", "prob"))
    called = prob >= 0.4
    fpr, tpr, _ = sk.roc_curve(label, logit, drop_intermediate=False)
    expected = {
        "auroc": sk.roc_auc_score(label, logit),
        "ap": sk.average_precision_score(label, logit),
        "eer": np.interp(0, fpr + tpr - 1, fpr),
        "accuracy": sk.accuracy_score(label, called),
        "balanced_accuracy": sk.balanced_accuracy_score(label, called),
        "precision": sk.precision_score(label, called),
        "recall": sk.recall_score(label, called),
        "specificity": sk.recall_score(label, called, pos_label=0),
        "f1": sk.f1_score(label, called),
        "brier": sk.brier_score_loss(label, prob),
        "tpr_at_fpr_5": tpr[fpr <= 0.05].max(),
    }
    overall = measure(table, 0.4, EvaluationConfig(resamples=100))["overall"]
    assert {key: overall[key]["value"] for key in expected} == pytest.approx(expected, abs=1e-12)
