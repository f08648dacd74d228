import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dfd.cli import main
from dfd.models import bundle as bundles
from tests.commands.conftest import Refused, Trained, newest_run
from tests.factories import pixels, tiny_ensemble

QUICK = ("runtime.device=cpu", "runtime.workers=0", "samples=10")
MEASURE = ("explain", "--faithfulness", "n=6", "randomised=2", "evaluation.resamples=100", "name=faith", *QUICK)


@pytest.fixture
def work(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained.folder)
    return trained.folder


def test_a_picture_gets_an_overlay_raw_maps_and_a_page(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "images/fake/000.png", *QUICK]) == 0
    run = newest_run(work, "explain", "gradcam")
    (row,) = pd.read_csv(run / "explanations.csv").to_dict("records")
    image, over = Image.open("images/fake/000.png"), Image.open(run / row["overlay"])
    assert over.size == image.size and over.mode == "RGB"
    maps = np.load(run / row["maps"], allow_pickle=False)
    assert maps.shape == (1, *np.asarray(image).shape[:2]) and maps.dtype == np.float32
    page = (run / row["page"]).read_text()
    for part in ('type="range"', "speaks for real", "Power spectrum", "Noise residual", "Error level", row["verdict"]):
        assert part in page
    assert "It does not show where a picture was altered, nor that it was." in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    shown = capsys.readouterr().out
    assert "does not prove that a picture was altered" in shown and str(run / row["page"]) in shown


def test_the_answer_is_that_of_predict(work: Path) -> None:
    main(["predict", "images/fake/001.png", *QUICK[:2], "runtime.precision=fp32"])
    main(["explain", "images/fake/001.png", *QUICK, "method=occlusion", "views=false"])
    told = pd.read_csv(newest_run(work, "explain", "occlusion") / "explanations.csv")
    scored = pd.read_parquet(newest_run(work, "predict", "predict") / "predictions.parquet")
    assert told["logit"][0] == pytest.approx(scored["logit"][0], abs=1e-4)
    assert "Power spectrum" not in (newest_run(work, "explain", "occlusion") / told["page"][0]).read_text()


def test_bad_files_are_rows_with_a_reason_and_the_others_are_explained(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (50, 40), "red").save(folder / "gut ö<b>&'q'.png")
    Image.new("RGB", (50, 40), "blue").save(folder / "plain.png")
    (folder / "empty.jpg").touch()
    assert main(["explain", str(folder), "name=some", *QUICK]) == 3
    run = newest_run(work, "explain", "some")
    table = pd.read_csv(run / "explanations.csv").set_index("path")
    assert table.loc[str(folder / "empty.jpg"), "error"] == "empty file"
    assert table["overlay"].notna().sum() == table["page"].notna().sum() == 2
    index = (run / "report.html").read_text()
    assert "empty file" in index and "<b>&" not in index
    for page in table["page"].dropna():
        assert (run / page).is_file() and f'href="{page}"' in index
    assert "1 could not be used" in capsys.readouterr().out


def test_names_and_reasons_reach_the_terminal_as_plain_text(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "in\u009b\u202e"
    folder.mkdir()
    Image.new("RGB", (50, 40), "red").save(folder / "a\u009b31m\u202e.png")
    (folder / "b\u009b.jpg").touch()
    assert main(["explain", str(folder), "name=odd", *QUICK]) == 3
    shown = capsys.readouterr().out
    assert "a\\x9b31m\\u202e.png" in shown and "\u009b" not in shown and "\u202e" not in shown


def test_an_ensemble_is_explained_network_by_network(work: Path, tmp_path: Path) -> None:
    bundles.save(tiny_ensemble(), tmp_path / "bundle")
    arguments = ["explain", "images/fake/000.png", f"bundle={tmp_path / 'bundle'}", "method=gradcampp", "name=both"]
    assert main([*arguments, *QUICK]) == 0
    run = newest_run(work, "explain", "both")
    row = pd.read_csv(run / "explanations.csv").to_dict("records")[0]
    assert row["networks"] == "ensemble first second" and len(np.load(run / row["maps"])) == 3
    page = (run / row["page"]).read_text()
    assert page.count('type="range"') == 3 and "of what moves the ensemble’s answer" in page


def test_faithfulness_is_measured_against_random_maps(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEASURE, "methods=[gradcam,lime]"]) == 0
    run = newest_run(work, "explain", "faith")
    figures = json.loads((run / "faithfulness.json").read_text())
    assert figures["n"] == 6 and figures["n_fake"] == 3 and figures["seen"] is False and figures["pointing"] is None
    for found in figures["methods"].values():
        assert 0 <= found["deletion"]["value"] <= 1 and found["alike"]["all"]["n"] == 2
        apart = found["against"]["random_smooth"]["insertion"]
        assert -1 <= apart["value"] <= 1 and apart["low"] is None  # three images of a class prove nothing
    table = pd.read_parquet(run / "faithfulness.parquet")
    assert len(table) == 6 * 4
    assert set(table["method"]) == {"gradcam", "lime", "random_smooth", "random_noise"}
    page = (run / "report.html").read_text()
    assert "The detector was trained on none of them." in page and "Does the answer follow the map?" in page
    assert "LIME" in (shown := capsys.readouterr().out) and "Random" in shown and "n = 6" in shown


def test_on_known_edits_it_is_measured_where_maps_point(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        place, name = (
            ("training_fake", f"mid_{number}_{number % 15 + 1:04b}")
            if number % 2
            else ("training_real", f"real_{number}")
        )
        (tmp_path / "faces" / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(rng, bool(number % 2), 48)).save(tmp_path / "faces" / place / f"{name}.jpg")
    data = ["data=yonsei", f"data.source={tmp_path / 'faces'}", f"data.root={tmp_path}", "data.fractions=[0.4,0.1,0.5]"]
    arguments = [*MEASURE, *data, "data.near_duplicate_bits=0", "methods=[gradcam]", "n=4", "pointing=3", "name=point"]
    assert main(arguments) == 0
    run = newest_run(work, "explain", "point")
    figures = json.loads((run / "faithfulness.json").read_text())
    assert figures["n"] == 4 and figures["pointing"]["all fakes"]["n"] == 2 + 3
    assert set(figures["pointing"]["all fakes"]["chance"]) == {"area", "random_smooth", "middle"}
    table = pd.read_parquet(run / "faithfulness.parquet")
    assert table["area"].notna().sum() == 5 * 3 and table["deletion"].notna().sum() == 4 * 3
    assert "Does the map point at what was altered?" in (run / "report.html").read_text()
    assert "3 more fakes for pointing" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_figures(work: Path) -> None:
    found = []
    for _ in range(2):
        main([*MEASURE, "methods=[shap]", "n=2", "name=again"])
        found.append((newest_run(work, "explain", "again") / "faithfulness.json").read_text())
    assert found[0] == found[1]


def test_images_that_the_detector_has_seen_are_named_as_such(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEASURE, "methods=[gradcam]", "n=2", "randomised=0", "split=train", "name=seen"]) == 0
    run = newest_run(work, "explain", "seen")
    assert json.loads((run / "faithfulness.json").read_text())["seen"] is True
    assert "was trained or tuned on these very images" in capsys.readouterr().out
    assert "The detector was trained or tuned on these images." in (run / "report.html").read_text()


def test_unreadable_images_of_a_data_set_are_left_out_and_told(work: Path, trained: Trained) -> None:
    from tests.commands.conftest import spoiled

    arguments = [*MEASURE, "methods=[gradcam]", "n=100", "randomised=0", "name=spoiled"]
    with spoiled([trained.images / "fake" / f"{number:03}.png" for number in range(30)]):
        assert main(arguments) == 3
    run = newest_run(work, "explain", "spoiled")
    figures = json.loads((run / "faithfulness.json").read_text())
    assert figures["n_fake"] == 0 and figures["n_unreadable"] > 0
    assert "Unreadable images" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to explain"),
        (["nowhere.jpg"], "nowhere.jpg"),
        (["images", "method=magic"], "method=magic is not one of the choices"),
        (["images", "runtime.precision=bf16"], "maps are made in fp32"),
        (["images", "data=demo"], "data=demo has no part in explaining files"),
        (["images", "--faithfulness"], "inputs=images has no part in --faithfulness"),
        (["--faithfulness", "methods=[]"], "methods=[] names nothing to measure"),
        (["--faithfulness", "methods=[lime,lime]"], "names a method twice"),
        (["--faithfulness", "split=all"], "split=all is not one of the choices"),
    ],
)
def test_a_mistake_is_one_message(work: Path, refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused(["explain", *arguments, *QUICK])
