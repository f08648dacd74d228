import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.cli import main
from dfd.data.changes import KINDS
from dfd.data.manifest import Manifest
from tests.commands.conftest import Trained, newest_run, spoiled

QUICK = ("runtime.device=cpu", "evaluation.resamples=100", "name=tough")
ALONE = "runtime.workers=0"


@pytest.fixture(scope="module")
def work(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("robustness") / "work"
    shutil.copytree(trained.folder, folder)
    return folder


@pytest.fixture(autouse=True)
def _there(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)


def evaluate(*settings: str) -> int:
    return main(["eval", *QUICK, *settings])


def result_of(work: Path) -> tuple[dict, pd.DataFrame]:
    run = newest_run(work, "eval", "tough")
    return json.loads((run / "robustness.json").read_text()), pd.read_parquet(run / "robustness.parquet")


def test_a_preset_is_measured_written_and_shown(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("robustness=web", ALONE) == 0
    figures, table = result_of(work)
    run = newest_run(work, "eval", "tough")
    plain = json.loads((run / "metrics.json").read_text())
    assert [(cell["kind"], cell["strength"]) for cell in figures["cells"]] == [("web", 1.0)]
    for key, figure in figures["unchanged"].items():
        assert figure == plain["overall"][key]
    assert figures["fingerprint"] == plain["fingerprint"] and figures["n"] == plain["n"]
    own = table[table["kind"] == "unchanged"].drop(columns=["kind", "strength"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(own, pd.read_parquet(run / "predictions.parquet"), rtol=1e-5)
    assert table["kind"].tolist() == ["unchanged", "web"] * plain["n"]
    assert table["strength"].isna().tolist() == [True, False] * plain["n"]
    assert "<svg" in (run / "robustness.html").read_text()
    out = capsys.readouterr().out
    assert "web 1" in out and "robustness.html" in out


def test_two_runs_are_equal_with_and_without_workers(work: Path) -> None:
    changes = "robustness.changes.noise=[20]"
    assert evaluate("robustness=jpeg", changes, ALONE) == 0
    figures, table = result_of(work)
    assert evaluate("robustness=jpeg", changes, "runtime.workers=2") == 0
    again, other_table = result_of(work)
    assert figures == again
    pd.testing.assert_frame_equal(table, other_table, check_exact=True)
    assert len(figures["cells"]) == 7
    assert evaluate("robustness=jpeg", changes, "robustness.seed=1", ALONE) == 0
    _, other = result_of(work)
    moved = (other["logit"] != table["logit"]).to_numpy()
    assert moved.tolist() == (table["kind"] == "noise").tolist()


def test_the_grid_is_everything(work: Path) -> None:
    assert evaluate("robustness=grid", ALONE) == 0
    figures, table = result_of(work)
    assert list(figures["kinds"]) == list(KINDS)
    jpeg = [cell["strength"] for cell in figures["cells"] if cell["kind"] == "jpeg"]
    assert jpeg == [95, 90, 80, 70, 50, 30]
    assert len(table) == (1 + len(figures["cells"])) * figures["n"]
    assert np.isfinite(table["logit"]).all()


def test_an_unreadable_image_is_left_out_in_every_version(work: Path) -> None:
    path = pd.read_parquet(newest_run(work) / "predictions.parquet")["path"][0]
    with spoiled([Manifest.load(work / "data" / "prepared" / "tiny").file(path)]):
        assert evaluate("robustness=hard", ALONE) == 3
    figures, table = result_of(work)
    assert table.loc[table["path"] == path, "error"].tolist() == ["not an image"] * 2
    assert figures["n_unreadable"] == 1 and figures["cells"][0]["n"] == figures["n"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["robustness=jpeg", "robustness.changes.jpeg=[0]"],
            "robustness.changes.jpeg=0 is too small: accepted is 1 to 100",
        ),
        (["robustness=jpeg", "robustness.changes.jpeg=[90.5]"], "robustness.changes.jpeg"),
        (["robustness=crop", "robustness.changes.crop=[1.5]"], "robustness.changes.crop=1.5 is too large"),
        (["robustness=jpeg", "robustness.changes.jpg=[90]"], "Did you mean robustness.changes.jpeg?"),
        (["robustness=jepg"], "Did you mean robustness=jpeg?"),
        (["robustness.changes.jpeg=[90]"], "needs a choice of robustness"),
        (
            ["robustness=jpeg", "robustness.changes.jpeg=[]"],
            "gives no kind of change any strength; kinds are jpeg, webp",
        ),
    ],
)
def test_mistakes_are_named(work: Path, capsys: pytest.CaptureFixture[str], settings: list[str], message: str) -> None:
    there = set(work.glob("outputs/eval/*/*/metrics.json"))
    assert evaluate(*settings, ALONE) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert set(work.glob("outputs/eval/*/*/metrics.json")) == there, "told before anything is measured"
