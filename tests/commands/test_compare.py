import json
from pathlib import Path

import pytest

from dfd.cli import main
from dfd.commands.compare import compare_runs
from dfd.config import CompareConfig
from tests.commands.conftest import Refused
from tests.runs import scores, write_run

QUICK = "resamples=100"


@pytest.fixture
def runs(workdir: Path) -> Path:
    """Three runs in outputs/, one of them on another data set as well."""
    write_run(workdir / "outputs" / "train" / "a" / "1", scores(2, 0), "a")
    write_run(workdir / "outputs" / "train" / "b" / "1", scores(0.5, 1), "b")
    write_run(workdir / "outputs" / "eval" / "b" / "2", scores(1, 1, data="new"), "b", data="new")
    return workdir


def newest(folder: Path) -> Path:
    return sorted((folder / "outputs" / "compare" / "compare").iterdir())[-1]


def test_leaderboards_are_printed_and_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", QUICK]) == 0
    out = capsys.readouterr().out
    assert "faces faces-print, test" in out and "worse" in out and "Across data sets" in out
    told = json.loads((newest(runs) / "compare.json").read_text())
    assert [board["data"] for board in told["leaderboards"]] == ["faces", "new"]
    assert [row["mark"] for row in told["leaderboards"][0]["rows"]] == ["best", "worse"]
    assert told["matrix"]["rows"][0]["name"] == "b" and told["damaged"] == {}
    assert "worse" in (newest(runs) / "compare.html").read_text()


def test_two_comparisons_are_equal(runs: Path) -> None:
    files = []
    for _ in range(2):
        assert main(["compare", QUICK]) == 0
        files.append((newest(runs) / "compare.json").read_text())
    assert files[0] == files[1]


def test_folders_can_be_named(runs: Path) -> None:
    assert main(["compare", "outputs/train/a", "outputs/train/b/1", QUICK]) == 0
    told = json.loads((newest(runs) / "compare.json").read_text())
    assert len(told["leaderboards"]) == 1 and told["matrix"] is None


def test_a_damaged_run_among_others_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "outputs" / "train" / "b" / "1" / "predictions.parquet").write_bytes(b"PAR1")
    assert main(["compare", QUICK]) == 3
    assert "outputs/train/b/1/metrics.json is damaged" in " ".join(capsys.readouterr().out.split())
    assert list(json.loads((newest(runs) / "compare.json").read_text())["damaged"]) == [
        "outputs/train/b/1/metrics.json"
    ]


def test_no_runs_yet(workdir: Path, refused: Refused) -> None:
    assert "no finished runs in outputs/; run `dfd train` first" in refused(["compare"])
    (workdir / "empty").mkdir()
    assert "no finished runs in empty/; run `dfd train` first" in refused(["compare", "empty/"])
    assert "nowhere is no folder" in refused(["compare", "nowhere"])
    assert not list(workdir.glob("outputs/compare/*/*/compare.*ml"))


def test_nothing_but_damage(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        (write_run(workdir / name, scores(2, 0), name) / "metrics.json").write_text("{")
    assert main(["compare", "."]) == 2
    error = capsys.readouterr().err
    assert "a/metrics.json is damaged" in error and "and 1 more like it" in error and "Traceback" not in error


def test_a_table_alone_for_the_end_of_several_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_runs([runs / "outputs" / "train"], CompareConfig(resamples=100)) == 0
    assert "best" in capsys.readouterr().out
    assert not (runs / "outputs" / "compare").exists()
