import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from dfd.cli import main
from dfd.data.manifest import Manifest
from dfd.models.bundle import DetectorBundle, EnsembleBundle, load
from dfd.training import crossval
from tests.commands.conftest import Crossed, Refused, Trained, newest_run, tiny_arguments


def test_every_open_image_is_scored_by_a_model_that_has_not_seen_it(crossed: Crossed) -> None:
    run = crossed.runs[0]
    table = pd.read_parquet(run / "oof_predictions.parquet")
    manifest = Manifest.load(crossed.folder / "data" / "prepared" / "tiny").table
    assert set(table["path"]) == set(manifest.loc[manifest["split"] != "test", "path"])
    assert table["logit"].notna().all() and sorted(table["fold"].unique()) == [0, 1, 2]
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    bundle = load(run / "bundle")
    assert isinstance(bundle, EnsembleBundle) and len(bundle.members) == 3
    for number, member in enumerate(bundle.members):
        own = table.loc[table["fold"] == number, "sha256"].str[:16]
        assert not set(own) & member.seen and set(table["sha256"].str[:16]) - set(own) == member.seen
    assert np.load(run / "oof_features.npy").shape == (len(table), bundle.detectors[0].width)
    assert not (run / "checkpoint").exists()


def test_out_of_fold_and_test_figures_are_both_there(crossed: Crossed) -> None:
    run = crossed.runs[0]
    oof, test = (json.loads((run / name).read_text()) for name in ("oof_metrics.json", "metrics.json"))
    assert (oof["split"], test["split"]) == ("oof", "test")
    assert oof["n"] + test["n"] == 60 and oof["fingerprint"] == test["fingerprint"]
    table = pd.read_parquet(run / "oof_predictions.parquet")
    assert oof["overall"]["auroc"]["value"] == pytest.approx(roc_auc_score(table["label"], table["logit"]))
    assert table["threshold"].nunique() == 3, "each fold is judged by what the others chose"


def test_a_fold_does_not_keep_the_networks_of_the_folds_before(
    crossed: Crossed, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, fit = [], crossval.fit

    def counted(task, config, runtime, *rest):
        kept.append((len(runtime.accelerator._models), len(runtime.accelerator._optimizers)))
        return fit(task, config, runtime, *rest)

    monkeypatch.setattr(crossval, "fit", counted)
    assert main(tiny_arguments(crossed.images, "cv.folds=2", "trainer.max_steps=1")) == 0
    assert kept == [(1, 1)] * 2


def cut_off_in_the_second_fold(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = crossval._run_fold

    def cut(*args, **kwargs) -> None:
        if args[4] == 1:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(crossval, "_run_fold", cut)
        assert main(arguments) == 130


def test_a_run_cut_off_between_folds_goes_on_where_it_was(
    crossed: Crossed, workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = tiny_arguments(crossed.images, "cv.folds=3")
    cut_off_in_the_second_fold(arguments, monkeypatch)
    capsys.readouterr()
    assert main([*arguments, "resume=true"]) == 0
    out = capsys.readouterr().out
    assert "fold         1 of 3" not in out and "fold         2 of 3" in out
    pd.testing.assert_frame_equal(
        pd.read_parquet(newest_run(workdir) / "oof_predictions.parquet"),
        pd.read_parquet(crossed.runs[0] / "oof_predictions.parquet"),
    )


def test_a_fold_of_other_images_is_not_continued(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """Renamed files keep the fingerprint, and move between folds."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained.images, tmp_path / "images")
    arguments = tiny_arguments(tmp_path / "images", "cv.folds=3", "data.fractions=[1,0,0]", "trainer.epochs=1")
    cut_off_in_the_second_fold(arguments, monkeypatch)
    for number in range(5):
        (tmp_path / "images" / "fake" / f"{number:03}.png").rename(tmp_path / "images" / "fake" / f"x{number:03}.png")
    assert "its images are not those of the fold any more" in refused([*arguments, "resume=true"])


def test_a_fold_that_learnt_from_other_labels_is_not_continued(
    crossed: Crossed, workdir: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    arguments = tiny_arguments(crossed.images, "cv.folds=3")
    cut_off_in_the_second_fold(arguments, monkeypatch)
    (fold,) = workdir.glob("outputs/train/*/*/checkpoint/folds/0/fold.json")
    card = json.loads(fold.read_text())
    fold.write_text(json.dumps({**card, "data": "0123456789abcdef"}))
    assert "the data have changed since the run began (fingerprint 0123" in refused([*arguments, "resume=true"])


def test_a_frozen_backbone_gives_one_network_whose_logit_is_the_mean(
    trained: Trained, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    real = crossval._collect
    monkeypatch.setattr(crossval, "_collect", lambda *args: heads.append(real(*args)) or heads[0])
    more = ("cv.folds=3", "model.freeze=backbone", "augment=none", "data.fractions=[1,0,0]")
    assert main(tiny_arguments(trained.images, *more)) == 0
    bundle = load(newest_run(workdir) / "bundle")
    assert isinstance(bundle, DetectorBundle)
    weights = [fold["1.weight"].numpy() for fold in heads[0].weights]
    np.testing.assert_allclose(bundle.detector.linear.weight.detach().numpy(), np.mean(weights, axis=0), rtol=1e-6)
    metrics = json.loads((newest_run(workdir) / "metrics.json").read_text())
    assert (metrics["split"], metrics["n"]) == ("oof", 60), "without a test split, out-of-fold is the result"


def test_a_refit_is_one_network(trained: Trained, workdir: Path) -> None:
    assert main(tiny_arguments(trained.images, "cv.folds=2", "cv.final=refit", "trainer.epochs=1")) == 0
    assert isinstance(load(newest_run(workdir) / "bundle"), DetectorBundle)


def test_an_image_of_the_folds_is_no_test_image_elsewhere(crossed: Crossed, workdir: Path, refused: Refused) -> None:
    shutil.copytree(crossed.folder / "data", "data")
    quick = ["evaluation.resamples=100", "runtime.device=cpu", "runtime.workers=0"]
    assert "was trained or tuned on all" in refused(["eval", f"bundle={crossed.runs[0]}", "split=val", *quick])


@pytest.mark.parametrize(
    ("setting", "message"),
    [("cv.folds=1", "cv.folds=1 leaves nothing to train on"), ("cv.folds=40", "too few images: fold ")],
)
def test_impossible_folds_are_told(
    trained: Trained, workdir: Path, refused: Refused, setting: str, message: str
) -> None:
    assert message in refused(tiny_arguments(trained.images, setting))
