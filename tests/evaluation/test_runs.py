"""Which runs are found, what is read of them, and that damage is noticed and named."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfd.errors import UserError
from dfd.evaluation.leaderboard import names_of
from dfd.evaluation.runs import find_runs, read_runs
from tests.runs import scores, write_run


def test_runs_are_found_at_any_depth_and_once(tmp_path: Path) -> None:
    near = write_run(tmp_path / "near", scores(2, 0), "a")
    far = write_run(tmp_path / "outputs" / "eval" / "x" / "time", scores(2, 1), "b")
    for place in (near / "bundle", near / "checkpoint" / "folds", tmp_path / ".hidden"):
        write_run(place, scores(2, 2), "c")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "oof_metrics.json").write_text("{}")
    assert find_runs([tmp_path]) == [near, far]
    assert find_runs([near, tmp_path, tmp_path / "outputs"]) == [near, far]
    assert find_runs([near / "bundle"]) == [near / "bundle"]  # who names it means it
    with pytest.raises(UserError, match="nowhere is no folder"):
        find_runs([tmp_path / "nowhere"])


def test_what_is_read(tmp_path: Path) -> None:
    table = scores(2, 0)
    table.loc[0, ["logit", "prob", "verdict", "error"]] = [np.nan, np.nan, None, "gone"]
    table.loc[1, "label"] = -1
    folder = write_run(tmp_path / "run", table, "a", trained_on={"name": "faces", "fingerprint": "f1"})
    (result,) = read_runs([folder]).results
    assert result.measured_on == ("faces", "faces-print", "test") and result.detector == "a"
    assert result.trained_on == ("faces", "f1")
    assert len(result.table) == 198 == result.metrics["n"]
    assert (result.table["called_fake"] == (result.table["prob"] >= 0.5)).all()


def test_out_of_fold_rows_are_a_second_result_with_thresholds_of_their_own(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", scores(2, 0), "a")
    table = scores(2, 1).assign(threshold=np.arange(200) % 5 / 10 + 0.3)
    write_run(folder, table, "a", prefix="oof_", split="oof")
    by_split = {result.metrics["split"]: result for result in read_runs([folder]).results}
    assert set(by_split) == {"test", "oof"}
    assert (by_split["oof"].table["called_fake"] == (table["prob"] >= table["threshold"])).all()


def test_a_bundle_measured_twice_counts_once_and_what_it_was_trained_on_is_passed_on(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", scores(2, 0), "a", trained_on={"name": "faces", "fingerprint": "f1"})
    again = write_run(tmp_path / "again", scores(2, 0), "a")
    os.utime(first / "metrics.json", (1, 1))
    elsewhere = write_run(tmp_path / "elsewhere", scores(1, 0, data="other"), "a", data="other")
    found = read_runs([first, again, elsewhere])
    assert [(result.folder, result.same) for result in found.results] == [(again, (first,)), (elsewhere, ())]
    assert {result.trained_on for result in found.results} == {("faces", "f1")}


def test_what_an_exported_graph_says_is_a_result_of_its_own(tmp_path: Path) -> None:
    told = {"trained_on": {"name": "faces", "fingerprint": "f1"}, "device": "torch, cpu (2 threads), bf16, 1 process"}
    first = write_run(tmp_path / "1", scores(2, 0), "a", **told)
    graphs = [
        write_run(tmp_path / f"{precision}", scores(1, 0), "a", device=f"openvino, cpu (2 threads), {precision}, graph")
        for precision in ("fp32", "int8")
    ]
    again = write_run(tmp_path / "2", scores(2, 0), "a", device="torch, cuda, fp32, 1 process")
    found = read_runs([first, *graphs, again]).results
    assert len(found) == 3 and {result.trained_on for result in found} == {("faces", "f1")}
    assert set(names_of(found).values()) == {"a", "a, openvino fp32", "a, openvino int8"}


def test_training_data_is_read_from_the_bundle_of_the_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", scores(2, 0), "a")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "bundle.yaml").write_text("data: {name: faces, fingerprint: f2}\n")
    assert read_runs([folder]).results[0].trained_on == ("faces", "f2")
    (folder / "bundle" / "bundle.yaml").write_text("{")
    assert read_runs([folder]).results[0].trained_on is None


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        metrics = json.loads((run / "metrics.json").read_text())
        change(metrics)
        (run / "metrics.json").write_text(json.dumps(metrics))

    return damage


def rewrite(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        change(pd.read_parquet(run / "predictions.parquet")).to_parquet(run / "predictions.parquet")

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda run: (run / "metrics.json").write_text("{"), "can't be read"),
        (lambda run: (run / "metrics.json").write_bytes(b"\xff\xfe\x00"), "can't be read"),
        (lambda run: (run / "metrics.json").write_text("[1]"), "holds no figures"),
        (edit(lambda m: m.pop("split")), "has no 'split'"),
        (edit(lambda m: m.update(split=3)), "incomplete"),
        (edit(lambda m: m.update(threshold=None)), "incomplete"),
        (edit(lambda m: m["overall"].pop("ece")), "incomplete"),
        (edit(lambda m: m["overall"].update(auroc="high")), "incomplete"),
        (edit(lambda m: m["overall"]["auroc"].update(low=None)), "incomplete"),
        (edit(lambda m: m.update(by_source={"gan": 3})), "incomplete"),
        (edit(lambda m: m["by_source"]["gan"].pop("metrics")), "incomplete"),
        (edit(lambda m: m["overall"]["auroc"].update(value=0.9)), "does not belong to it"),
        (lambda run: (run / "predictions.parquet").unlink(), "predictions.parquet is missing"),
        (lambda run: (run / "predictions.parquet").write_bytes(b"PAR1"), "predictions.parquet can't be read"),
        (rewrite(lambda t: t.drop(columns="logit")), "has no column 'logit'"),
        (rewrite(lambda t: t.assign(prob="high")), "can't be read"),
        (rewrite(lambda t: t.iloc[:-1]), "does not belong to it"),
        (rewrite(lambda t: t.assign(logit=t["logit"].where(t.index > 0))), "lack a score"),
        (rewrite(lambda t: t.assign(group=t["group"].where(t.index > 0))), "a group"),
        (rewrite(lambda t: t.assign(label=2)), "a class"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_read(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    good, bad = (write_run(tmp_path / name, scores(2, 0), name) for name in ("good", "bad"))
    damage(bad)
    found = read_runs([bad, good])
    assert [result.folder for result in found.results] == [good]
    assert list(found.damaged) == [bad / "metrics.json"] and reason in found.damaged[bad / "metrics.json"]


def test_distances_between_images_are_no_results_and_no_damage(tmp_path: Path) -> None:
    good = write_run(tmp_path / "train" / "a" / "1", scores(1.0, 0), "a")
    other = tmp_path / "eval" / "b" / "1"
    other.mkdir(parents=True)
    (other / "metrics.json").write_text('{"kind": "fid", "fd": {"value": 1.0}}')
    found = read_runs([good, other])
    assert [result.folder for result in found.results] == [good] and not found.damaged
