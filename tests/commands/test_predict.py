import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd import __version__
from dfd.cli import main
from dfd.config import PredictConfig
from tests.commands.conftest import Refused, Trained, newest_run

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


def test_one_picture_gets_a_card_and_the_table_as_well(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "one.csv"
    assert main(["predict", "images/fake/004.png", "method=occlusion", "name=card", f"output={out}", *QUICK]) == 0
    run = newest_run(work, "predict", "card")
    card = json.loads((run / "card.json").read_text())
    assert card["made"]["dfd"] == __version__ and datetime.fromisoformat(card["made"]["at"]) <= datetime.now(UTC)
    assert card["made"]["command"].startswith("dfd predict") and "images/fake/004.png" in card["made"]["command"]
    table = pd.read_parquet(run / "predictions.parquet")
    assert card["file"]["name"] == "004.png" and card["verdict"] in ("real", "unsure", "fake")
    assert table["logit"][0] == pytest.approx(card["score"]["logit"], abs=1e-5)
    assert table["verdict"][0] == card["score"]["verdict"] == pd.read_csv(out)["verdict"][0]
    screen = capsys.readouterr().out
    assert card["verdict"].upper() in screen and str(run / "card.html") in screen
    with Image.open(run / "heat.png") as heat:
        assert heat.mode == "RGBA"
    page = (run / "card.html").read_text()
    assert page.count("data:image/") == 2 and card["reasons"][0] in page


def test_cards_of_several_pictures_are_numbered_and_listed(work: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("hello")
    arguments = ["images/fake/001.png", str(tmp_path / "broken.jpg"), "images/real/001.png"]
    assert main(["predict", *arguments, "cards=3", "method=none", "name=cards", *QUICK]) == 3
    run = newest_run(work, "predict", "cards")
    assert sorted(path.name for path in (run / "cards").iterdir()) == [
        "1.html",
        "1.json",
        "3.html",
        "3.json",
        "index.html",
    ]
    assert "not an image" in (run / "cards" / "index.html").read_text()
    table = pd.read_parquet(run / "predictions.parquet")
    assert list(table["error"].isna()) == [True, False, True]
    assert "No heat map was asked for (method=none)." in (run / "cards" / "1.html").read_text()


@pytest.mark.parametrize("arguments", [["cards=0"], ["images/real/001.png"]])
def test_no_card_where_none_is_asked_for_or_there_are_too_many(work: Path, arguments: list[str]) -> None:
    assert main(["predict", "images/fake/001.png", *arguments, "name=none", *QUICK]) == 0
    names = {path.name for path in newest_run(work, "predict", "none").iterdir()}
    assert "predictions.parquet" in names and not names & {"card.json", "cards"}


def test_one_broken_picture_has_no_card_and_a_reason(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "evil\x1b[31m[bold]<script>.jpg"
    (tmp_path / name).write_bytes(b"\xff\xd8\xff nothing")
    assert main(["predict", str(tmp_path / name), "name=broken", *QUICK]) == 3
    captured = capsys.readouterr()
    assert "can't be used" in captured.out and "\x1b" not in captured.out and "[bold]" in captured.out
    run = newest_run(work, "predict", "broken")
    assert not (run / "card.json").exists() and pd.read_parquet(run / "predictions.parquet")["error"].notna().all()


def test_videos_go_to_their_own_command_and_leave_the_images_table_alone(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[list[str], str | None]] = []

    def videos(config: PredictConfig, paths: list[Path], *_: object) -> int:
        called.append(([path.name for path in paths], config.output))
        return 3

    module = ModuleType("dfd.commands.predict_video")
    module.predict_videos = videos  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dfd.commands.predict_video", module)
    (tmp_path / "clip.mp4").write_bytes(b"")
    out = str(tmp_path / "table.csv")
    assert main(["predict", str(tmp_path / "clip.mp4"), f"output={out}", *QUICK]) == 3
    assert main(["predict", str(tmp_path), "images/real/001.png", f"output={out}", *QUICK]) == 3
    assert called == [(["clip.mp4"], out), (["clip.mp4"], None)]
    assert len(pd.read_csv(out)) == 1


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
def test_a_mistake_is_one_message(work: Path, refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused(["predict", *arguments, *QUICK])
