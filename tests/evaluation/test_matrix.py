import json
from pathlib import Path

import pytest

from dfd.evaluation.matrix import as_json, cross_matrix
from dfd.evaluation.runs import read_runs
from tests.runs import scores, write_run

OWN = {"name": "faces", "fingerprint": "faces-print"}


def test_detectors_against_data_sets(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "1", scores(2, 0), "both", trained_on=OWN),
        write_run(tmp_path / "2", scores(0.8, 0, data="new"), "both", data="new", left_out=12),
        write_run(tmp_path / "3", scores(2, 1), "at home", trained_on=OWN),
    ]
    matrix = cross_matrix(read_runs(runs).results)
    assert matrix is not None
    assert matrix.columns == [("faces", "faces-print", "test"), ("new", "new-print", "test")]
    (line,) = matrix.lines  # who was measured on one data set alone is in its leaderboard
    assert line.name == "both" and line.trained_on == ("faces", "faces-print")
    home, away = line.cells
    assert home and away and (home.own, away.own) == (True, False) and (home.left_out, away.left_out) == (0, 12)
    accuracy = {name: part["metrics"]["accuracy"]["value"] for name, part in away.result.metrics["by_source"].items()}
    assert away.worst and away.worst[0] == min(accuracy, key=lambda name: accuracy[name])
    told = json.loads(json.dumps(as_json(matrix), allow_nan=False))
    assert told["rows"][0]["cells"][1]["left_out"] == 12 and told["rows"][0]["cells"][0]["own_data"]


@pytest.mark.parametrize(
    ("trained_on", "measured_on", "own"),
    [
        ("faces+new", "new", True),
        ("faces+new-real", "new", True),
        ("faces-real-min64+new", "faces", True),
        ("faces+new+redrawn-faces", "faces+new", True),
        ("new", "new-real+gan-mine", True),
        ("new", "new", True),
        ("faces+new", "ne", False),
        ("faces+gan-new", "new", False),
        ("more+redrawn-faces", "faces", False),
    ],
)
def test_a_part_of_joined_training_data_is_own(tmp_path: Path, trained_on: str, measured_on: str, own: bool) -> None:
    told = {"name": trained_on, "fingerprint": "joined-print"}
    runs = [
        write_run(tmp_path / "1", scores(2, 0, data="other"), "a", data="other", trained_on=told),
        write_run(tmp_path / "2", scores(2, 0), "a", data=measured_on, trained_on=told),
    ]
    matrix = cross_matrix(read_runs(runs).results)
    assert matrix is not None
    cells = {cell.result.metrics["data"]: cell.own for cell in matrix.lines[0].cells if cell}
    assert cells == {"other": False, measured_on: own}


def test_two_splits_of_one_data_set_are_no_matrix(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / split, scores(2, 0), "a", split=split) for split in ("test", "val")]
    assert cross_matrix(read_runs(runs).results) is None


def test_a_cell_may_be_empty_and_a_single_source_is_not_the_worst(tmp_path: Path) -> None:
    alone = scores(2, 0).assign(source="one")
    runs = [
        write_run(tmp_path / "1", alone, "a"),
        write_run(tmp_path / "2", scores(2, 0, data="new"), "a", data="new"),
        write_run(tmp_path / "3", scores(2, 1), "b", split="val"),
        write_run(tmp_path / "4", scores(2, 1, data="new"), "b", data="new"),
    ]
    matrix = cross_matrix(read_runs(runs).results)
    assert matrix is not None and len(matrix.columns) == 3
    first, second = matrix.lines
    assert first.cells[0] and first.cells[0].worst is None and first.cells[1] is None
    assert second.cells[0] is None and second.trained_on is None
