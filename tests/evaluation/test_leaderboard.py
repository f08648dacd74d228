"""Order, marks and what two results are compared on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.evaluation.delong import delong
from dfd.evaluation.leaderboard import (
    ALONE,
    BEST,
    BETTER,
    SAME,
    UNKNOWN,
    WORSE,
    Leaderboard,
    as_json,
    leaderboards,
    names_of,
    shared_rows,
)
from dfd.evaluation.paired import holm
from dfd.evaluation.runs import read_runs
from tests.runs import scores, write_run


def board_of(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> Leaderboard:
    runs = [write_run(tmp_path / name, table, name) for name, table in tables.items()]
    (board,) = leaderboards(read_runs(runs).results, 200, 0)
    return board


def test_best_first_and_only_real_differences_are_called_worse(tmp_path: Path) -> None:
    tables = {"poor": scores(0.5, 1), "good": scores(2.0, 2), "like it": scores(1.7, 3)}
    board = board_of(tmp_path, tables)
    assert [(row.name, row.mark) for row in board.rows] == [("good", BEST), ("like it", SAME), ("poor", WORSE)]
    assert board.independent
    label = tables["good"]["label"].to_numpy()
    raw = []
    for row in board.rows[1:]:
        value, error = delong(label, tables[row.name]["logit"].to_numpy(), tables["good"]["logit"].to_numpy())
        assert row.against is not None
        assert (row.against.auroc.value, row.against.auroc.error) == pytest.approx((value, error))
        assert row.against.p_accuracy >= row.against.paired.mcnemar.p
        raw.append(row.against.auroc.p)
    assert [row.against.p_auroc for row in board.rows[1:] if row.against] == holm(raw)


def test_a_result_alone_is_compared_with_nothing(tmp_path: Path) -> None:
    (row,) = board_of(tmp_path, {"one": scores(2, 0)}).rows
    assert row.mark == ALONE and row.against is None


def test_each_data_set_and_split_has_its_own_board(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "1", scores(2, 0), "a"),
        write_run(tmp_path / "2", scores(2, 1), "a", split="val"),
        write_run(tmp_path / "3", scores(2, 2), "b", fingerprint="other"),
        write_run(tmp_path / "4", scores(2, 3), "b", data="more"),
    ]
    boards = leaderboards(read_runs(runs).results, 100, 0)
    assert [(b.data, b.fingerprint, b.split) for b in boards] == [
        ("faces", "faces-print", "test"),
        ("faces", "faces-print", "val"),
        ("faces", "other", "test"),
        ("more", "more-print", "test"),
    ]


def test_rows_are_matched_whatever_their_order_and_those_that_differ_are_counted(tmp_path: Path) -> None:
    whole, part = scores(2.0, 1), scores(1.0, 2).sample(frac=1, random_state=0).iloc[30:]
    board = board_of(tmp_path, {"whole": whole, "part": part})
    against = board.rows[1].against
    assert against is not None and (against.paired.n, against.only_here, against.only_best) == (170, 0, 30)
    assert "170 images that both have scored; 0 only this one, 30 only the best" in board.rows[1].note
    common = whole.merge(part, on="sha256")
    value, error = delong(common["label_x"].to_numpy(), common["logit_y"].to_numpy(), common["logit_x"].to_numpy())
    assert (against.auroc.value, against.auroc.error) == pytest.approx((value, error))


def test_the_best_by_its_own_images_may_lose_on_the_shared_ones(tmp_path: Path) -> None:
    easy = scores(0.3, 1)
    easy.loc[80:, "logit"] = np.where(easy.loc[80:, "label"] == 1, 9.0, -9.0)
    board = board_of(tmp_path, {"easy rows": easy, "hard rows": scores(2.0, 2).iloc[:80]})
    assert [row.mark for row in board.rows] == [BEST, BETTER]


def test_paths_match_where_hashes_do_not_name_each_image(tmp_path: Path) -> None:
    one, other = scores(2, 0).assign(sha256="0"), scores(2, 1)
    rows = shared_rows(one, other.iloc[5:])
    assert rows is not None and rows[0].tolist() == list(range(5, 200)) and rows[1].tolist() == list(range(195))
    assert shared_rows(one.drop(columns="sha256"), other) is not None
    assert shared_rows(one.assign(path="x"), other) is None


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    best = scores(2, 0)
    turned = scores(1, 1).assign(label=lambda t: 1 - t["label"], logit=lambda t: -t["logit"])
    tables = {
        "best": best,
        "unnamed": scores(1, 2).assign(path="x", sha256="0"),
        "turned": turned,
        "strangers": scores(1, 3, data="others"),
        "one class": scores(1, 4)[lambda t: t["label"] == 1],
    }
    notes = {row.name: row.note for row in board_of(tmp_path, tables).rows if row.mark == UNKNOWN}
    assert "can't be matched" in notes["unnamed"] and "another class" in notes["turned"]
    assert "0 images in common" in notes["strangers"] and "not of both classes" in notes["one class"]


def test_one_class_alone_gives_no_ranking(tmp_path: Path) -> None:
    tables = {name: scores(1, seed)[lambda t: t["label"] == 1] for seed, name in enumerate("ab")}
    board = board_of(tmp_path, tables)
    assert {(row.mark, row.note) for row in board.rows} == {(UNKNOWN, "no AUROC: no real images")}


def test_groups_let_the_bootstrap_decide(tmp_path: Path) -> None:
    board = board_of(tmp_path, {"a": scores(2, 0, images=4), "b": scores(1.2, 1, images=4)})
    against = board.rows[1].against
    assert against is not None and against.auroc.method == "bootstrap of groups" and not board.independent
    assert against.p_accuracy == against.paired.differences["accuracy"].p


def test_names_are_told_apart_by_the_first_folder(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"2026-0{i}", scores(2, i), "same", weights_sha256=digest)
        for i, digest in enumerate("xxy")
    ]
    write_run(runs[1], scores(2, 1, data="other"), "same", data="other", weights_sha256="x")
    names = names_of(read_runs(runs).results)
    assert names == {"x": "same (2026-00)", "y": "same (2026-02)"}


def test_json_has_all_of_it(tmp_path: Path) -> None:
    board = board_of(tmp_path, {"a": scores(2, 0), "b": scores(1, 1)})
    told = json.loads(json.dumps(as_json(board), allow_nan=False))
    first, second = told["rows"]
    assert first["against_best"] is None and first["mark"] == BEST
    assert second["against_best"]["differences"]["auroc"]["method"] == "DeLong"
    assert second["against_best"]["p_auroc_holm"] == board.rows[1].against.p_auroc  # type: ignore[union-attr]
    assert second["figures"]["brier"]["n"] == 200
