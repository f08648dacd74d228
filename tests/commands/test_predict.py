import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd.cli import main
from tests.commands.conftest import Trained, newest_run

QUICK = ("runtime.device=cpu", "runtime.workers=0")


@pytest.fixture
def work(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.folder)
    return trained.folder


def test_files_folders_and_globs_are_scored_and_told_apart(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    assert main(["predict", "images/real/000.png", "images/fake", "images/real/00*.png", f"output={out}", *QUICK]) == 0
    table = pd.read_csv(out)
    assert len(table) == 40
    assert table.loc[table["path"].str.contains("fake"), "prob"].mean() > 0.5 > table["prob"].min()
    assert set(table["verdict"]) <= {"real", "unsure", "fake"}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
def test_every_format_holds_the_same_rows(work: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"table.{suffix}"
    assert main(["predict", "images/fake/000.png", "images/fake/001.png", f"output={out}", *QUICK]) == 0
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "json": pd.read_json}[suffix]
    kept = pd.read_parquet(newest_run(work, "predict", "predict") / "predictions.parquet")
    assert list(read(out)["path"]) == list(kept["path"]) == ["images/fake/000.png", "images/fake/001.png"]
    assert np.allclose(read(out)["prob"], kept["prob"])


def test_bad_files_are_rows_with_a_reason_and_the_exit_code_says_so(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, out = tmp_path / "in" / "gut ö\n[x],'q'.png", tmp_path / "out.json"
    good.parent.mkdir()
    Image.new("RGB", (50, 40), "red").save(good)
    (tmp_path / "in" / "empty.jpg").touch()
    (tmp_path / "in" / "text.jpg").write_text("hello")
    os.symlink("/nowhere", tmp_path / "in" / "link.jpg")
    assert main(["predict", str(tmp_path / "in"), f"output={out}", *QUICK]) == 3
    table = {Path(row["path"]).name: row for row in json.loads(out.read_text())}
    assert len(table) == 4
    assert all(table[name]["error"] and table[name]["prob"] is None for name in ("empty.jpg", "text.jpg", "link.jpg"))
    (scored,) = (row for name, row in table.items() if name.startswith("gut"))
    assert scored["error"] is None and 0 <= scored["prob"] <= 1
    assert "3 could not be used" in capsys.readouterr().out


def test_a_picture_gets_the_same_score_alone_and_in_a_batch(work: Path, tmp_path: Path) -> None:
    main(["predict", "images", f"output={tmp_path / 'all.csv'}", *QUICK, "runtime.precision=fp32"])
    main(["predict", "images/fake/003.png", f"output={tmp_path / 'one.csv'}", *QUICK, "runtime.precision=fp32"])
    every, one = pd.read_csv(tmp_path / "all.csv").set_index("path"), pd.read_csv(tmp_path / "one.csv")
    assert one["logit"][0] == pytest.approx(every.loc["images/fake/003.png", "logit"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to predict"),
        (["nowhere.jpg"], "nowhere.jpg"),
        (["images", "output=table.xlsx"], "'.xlsx' is no known format; accepted: .parquet, .csv, .json"),
        (["images", "output=images/real/000.png/table.csv"], "its folder can't be made"),
        (["images", "bundle=images"], "bundle=images: no bundle.yaml there"),
        (["images", "runtime.precision=fp16"], "fp16 needs a GPU"),
    ],
)
def test_a_mistake_is_one_message(
    work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["predict", *arguments, *QUICK]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
