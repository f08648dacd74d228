import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dfd.cli import main
from dfd.commands import results
from dfd.data.manifest import Manifest
from tests.commands.conftest import Refused, Trained, newest_run, spoiled
from tests.models.test_bundle import rewrite

QUICK = ("runtime.device=cpu", "runtime.workers=0", "evaluation.resamples=100")


@pytest.fixture
def work(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run's folder, as the working folder."""
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def metrics_of(run: Path) -> dict:
    figures = json.loads((run / "metrics.json").read_text())
    figures.pop("inference_ms")
    return figures


def test_the_reloaded_bundle_gives_the_figures_of_the_run(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *QUICK]) == 0
    assert metrics_of(newest_run(work, "eval", "bundle")) == metrics_of(newest_run(work))
    assert "(the newest)" in capsys.readouterr().out


def test_images_that_the_bundle_was_trained_on_are_left_out(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same images split anew: most of the new test split was training data."""
    data = ("data=folder", "data.name=anew", "data.source=images", "data.split_seed=5")
    assert main(["eval", *QUICK, *data]) == 0
    figures = metrics_of(newest_run(work, "eval", "anew"))
    out = capsys.readouterr().out
    assert "left out" in out and "was trained or tuned on these very files" in out
    seen = (newest_run(work) / "bundle" / "seen.txt").read_text().split()
    assert len(seen) == 60 - metrics_of(newest_run(work))["n"]
    assert 0 < figures["n"] < 9


def test_figures_of_images_that_the_bundle_was_tuned_on_say_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *QUICK]) == 0
    assert metrics_of(newest_run(work, "eval", "bundle"))["tuned_on"] == 0
    assert "caution" not in capsys.readouterr().out
    assert main(["eval", *QUICK, "split=val"]) == 0
    run = newest_run(work, "eval", "bundle")
    n = metrics_of(run)["n"]
    assert metrics_of(run)["tuned_on"] == n > 0
    told = f"threshold and unsure band were chosen on {n} of these images"
    assert told in capsys.readouterr().out and told in (run / "report.html").read_text()


def test_data_that_changed_since_the_training_are_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest.load(work / "data" / "prepared" / "tiny")
    file = manifest.file(manifest.rows("train")["path"].iloc[0])
    with spoiled([file]):
        file.touch()
        assert main(["eval", *QUICK]) == 0
    assert "caution      tiny has changed since" in capsys.readouterr().out


def test_no_file_of_figures_holds_what_json_has_not(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = results.measure
    monkeypatch.setattr(results, "measure", lambda *values: {**measure(*values), "threshold": float("nan")})
    assert main(["eval", *QUICK]) == 1
    assert not list((work / "outputs" / "eval").rglob("metrics.json"))


def test_unreadable_test_images_are_counted_and_told(work: Path) -> None:
    path = pd.read_parquet(newest_run(work) / "predictions.parquet")["path"][0]
    with spoiled([Manifest.load(work / "data" / "prepared" / "tiny").file(path)]):
        assert main(["eval", *QUICK]) == 3
    figures = metrics_of(newest_run(work, "eval", "bundle"))
    assert (figures["n_unreadable"], figures["n"]) == (1, metrics_of(newest_run(work))["n"] - 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda b: (b / "model.safetensors").write_bytes(b"x" + (b / "model.safetensors").read_bytes()[1:]),
            "is damaged: its sha256",
        ),
        (lambda b: (b / "model.safetensors").unlink(), "is missing; the bundle is incomplete"),
        (lambda b: (b / "bundle.yaml").write_text("{"), "bundle.yaml is damaged"),
        (lambda b: (b / "bundle.yaml").write_text("format: 1\nname: x"), "or of an older format"),
        (lambda b: rewrite(b, "format: 2", "format: 99"), "format 99 is not known; accepted is 2"),
        (lambda b: rewrite(b, "calibration:", "calibrations:"), "bundle.yaml is damaged: 'calibration'"),
    ],
)
def test_a_damaged_bundle_is_named(work: Path, refused: Refused, damage: object, message: str) -> None:
    damage(newest_run(work) / "bundle")  # type: ignore[operator]
    assert message in refused(["eval", *QUICK])
    assert not list(work.glob("outputs/eval/*/*/metrics.json"))


def test_no_bundle_yet(workdir: Path, refused: Refused) -> None:
    assert "run `dfd train` first" in refused(["eval"])
    assert "bundle=nowhere: no bundle.yaml there" in refused(["eval", "bundle=nowhere"])


def test_an_audit_of_the_data_adds_what_is_left_beyond_shortcuts(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("data=folder", "data.name=tiny", "data.source=images")
    assert main(["eval", *QUICK]) == 0
    assert "auroc_given_shortcuts" not in metrics_of(newest_run(work, "eval", "bundle"))
    assert main(["data", "audit", *data, "encoder=none", "evaluation.resamples=100"]) == 0
    assert main(["eval", *QUICK]) == 0
    found = metrics_of(newest_run(work, "eval", "bundle"))["auroc_given_shortcuts"]
    assert found["shortcuts"] == ["all"] and ("reason" in found or 0 <= found["value"] <= 1)
    assert "shortcuts    AUROC among images that the data's audit can't tell apart" in capsys.readouterr().out
