import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dfd.cli import main
from dfd.data.manifest import Manifest
from dfd.models.bundle import DetectorBundle, load
from dfd.training.detector_task import DetectorTask
from dfd.training.logistic_task import LogisticTask
from tests.commands.conftest import Refused, Trained, newest_run, spoiled, tiny_arguments
from tests.factories import two_class_folder


def test_a_run_leaves_all_it_promises(trained: Trained) -> None:
    names = {path.relative_to(trained.run).as_posix() for path in trained.run.rglob("*") if path.is_file()}
    assert {"train.csv", "predictions.parquet", "metrics.json", "report.html"} <= names
    assert {f"bundle/{name}" for name in ("bundle.yaml", "model.safetensors", "config.yaml", "seen.txt")} <= names
    assert not [name for name in names if ".part" in name or "checkpoint" in name]


def test_figures_are_of_the_test_split_and_say_so(trained: Trained) -> None:
    manifest = Manifest.load(trained.folder / "data" / "prepared" / "tiny")
    predictions = pd.read_parquet(trained.run / "predictions.parquet")
    assert sorted(predictions["path"]) == sorted(manifest.rows("test")["path"])
    assert trained.metrics["split"] == "test"
    assert trained.metrics["fingerprint"] == manifest.fingerprint
    assert trained.metrics["n"] == len(predictions)
    auroc = trained.metrics["overall"]["auroc"]
    assert auroc["low"] <= auroc["value"] <= auroc["high"]


def test_training_never_reads_a_test_image(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spoil the test images after preparing: the run still gets to its evaluation, all else being equal."""
    monkeypatch.chdir(tmp_path)
    assert main(["data", "prepare", "data=folder", "data.name=tiny", f"data.source={trained.images}"]) == 0
    manifest = Manifest.load(tmp_path / "data" / "prepared" / "tiny")
    with spoiled([manifest.file(path) for path in manifest.rows("test")["path"]]):
        main(tiny_arguments(trained.images))
    run = newest_run(tmp_path)
    ours = pd.read_csv(run / "train.csv").drop(columns=["images_per_s", "seconds"])
    theirs = pd.read_csv(trained.run / "train.csv").drop(columns=["images_per_s", "seconds"])
    pd.testing.assert_frame_equal(ours, theirs)
    same = [yaml.safe_load((one / "bundle" / "bundle.yaml").read_text())["calibration"] for one in (run, trained.run)]
    assert same[0] == same[1]


def test_two_runs_of_one_config_are_equal(trained: Trained, workdir: Path) -> None:
    assert main(tiny_arguments(trained.images)) == 0
    one, other = (load_file(run / "bundle" / "model.safetensors") for run in (newest_run(workdir), trained.run))
    assert all((one[key] == other[key]).all() for key in one)
    tables = [pd.read_parquet(run / "predictions.parquet") for run in (newest_run(workdir), trained.run)]
    pd.testing.assert_frame_equal(*tables)


def test_a_sweep_trains_every_choice(trained: Trained, workdir: Path) -> None:
    assert main(tiny_arguments(trained.images, "-m", "seed=0,1", "trainer.max_steps=2")) == 0
    runs = list((workdir / "outputs" / "train" / "tiny").iterdir())
    seeds = {yaml.safe_load((run / "bundle" / "config.yaml").read_text())["seed"] for run in runs}
    assert len(runs) == 2 and seeds == {0, 1}


def test_a_frozen_backbone_without_augmentation_trains_on_features(trained: Trained, workdir: Path) -> None:
    assert main(tiny_arguments(trained.images, "model.freeze=backbone", "augment=none", "trainer.epochs=4")) == 0
    history = pd.read_csv(newest_run(workdir) / "train.csv")
    assert len(history) == 4 and history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


VIT = ["model.backbone=test_vit.r160_in1k", "model.input_size=64", "model.layers=[2,4]"]


def test_a_head_by_logistic_regression_on_the_tokens_of_some_blocks(
    trained: Trained, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*VIT, "model.freeze=backbone", "augment=none", "trainer=logistic", "trainer.c=[0.1,10]"]
    assert main(tiny_arguments(trained.images, *settings)) == 0
    run = newest_run(workdir)
    assert pd.read_csv(run / "train.csv")["c"].tolist() == [0.1, 10]
    assert json.loads((run / "metrics.json").read_text())["overall"]["auroc"]["value"] > 0.9
    bundle = load(run / "bundle")
    assert bundle.metrics["auroc"] > 0.9 and bundle.training["c"] in (0.1, 10)
    assert "logistic regression, c = " in (run / "report.html").read_text()
    idle = "trainer.epochs=2, trainer.batch_size=8, trainer.lr=0.003"
    assert f"caution      no effect with trainer.solver=logistic: {idle}\n" in capsys.readouterr().out


LOGISTIC = ["trainer=logistic", "model.freeze=backbone"]


@pytest.mark.parametrize(
    ("settings", "units"), [(["model.units=0"], 1), (["model.units=2", "trainer.max_steps=3", "trainer.head_c=0"], 2)]
)
def test_units_of_the_head(trained: Trained, workdir: Path, settings: list[str], units: int) -> None:
    assert main(tiny_arguments(trained.images, *settings)) == 0
    bundle = load(newest_run(workdir) / "bundle")
    assert isinstance(bundle, DetectorBundle) and bundle.model.units == bundle.detector.linear.out_features == units


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cv.folds=3", "model.units=2"], "model.units=2 with cv.folds=3"),
        (
            ["model.units=3", "trainer.head_c=1"],
            "model.units=3: logistic regression fits a unit to each",
        ),
        ([*LOGISTIC, "augment=none", "model.units=3"], "hold 1: .*; accepted is 1, 0 or 1$"),
        ([*LOGISTIC, "augment=shared", "augment.splices=1", "model.units=0"], "accepted is augment.splices=0, or"),
    ],
)
def test_units_that_do_not_fit_are_refused(
    trained: Trained, workdir: Path, refused: Refused, settings: list[str], message: str
) -> None:
    assert re.search(message, refused(tiny_arguments(trained.images, *settings)).replace("\n", " ").strip())


def test_logistic_regression_also_learns_from_changed_copies_and_splices(
    trained: Trained, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    step = LogisticTask.step

    def counted(self: LogisticTask, batch: float, number: int) -> dict:
        seen.append((self._train.labels.tolist(), len(self._rows), len(set(map(bytes, self._rows)))))
        return step(self, batch, number)

    monkeypatch.setattr(LogisticTask, "step", counted)
    settings = ["model.freeze=backbone", "trainer=logistic", "trainer.c=[1]", "trainer.copies=2", "augment=shared"]
    assert main(tiny_arguments(trained.images, *settings)) == 0
    rows = Manifest.load(workdir / "data" / "prepared" / "tiny").rows("train")
    reals, fakes = (int((rows["label"] == label).sum()) for label in (0, 1))
    ((labels, n, different),) = seen
    assert labels.count(0) == 3 * reals
    assert labels.count(1) == 3 * fakes + 2 * reals, "a splice for each real image in each copy"
    assert n == len(labels) and different > 0.9 * n, "copies are changed; now and then nothing befalls one"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "model.freeze=none; accepted is model.freeze=backbone"),
        (["model.freeze=backbone", "augment=none", "trainer.c=[]"], "trainer.c=[] names no strength"),
        (["model.freeze=backbone", "trainer.copies=0"], "trainer.copies=0 leaves nothing to augment=light"),
    ],
)
def test_settings_that_logistic_regression_has_no_use_for_are_told(
    trained: Trained, workdir: Path, refused: Refused, settings: list[str], message: str
) -> None:
    assert message in refused(tiny_arguments(trained.images, "trainer=logistic", *settings))


def test_nuisances_of_no_logistic_regression_are_refused(trained: Trained, workdir: Path, refused: Refused) -> None:
    told = refused(tiny_arguments(trained.images, "trainer.nuisances=0.5"))
    assert "trainer.nuisances=0.5 is for a head by logistic regression; accepted is 0, trainer=logistic, or" in told


ADAPTING = [*VIT, "model.lora=2", "trainer=lora"]


@pytest.mark.parametrize(
    ("start", "alone"),
    [(["trainer.copies=0"], ["augment=none"]), (["trainer.copies=2", "augment.splices=1"], ["augment.splices=1"])],
)
def test_adapting_begins_with_the_head_that_logistic_regression_gives(
    trained: Trained, workdir: Path, start: list[str], alone: list[str]
) -> None:
    adapting = [*ADAPTING, "trainer.head_c=10", "trainer.max_steps=1", "trainer.lr=0"]
    assert main(tiny_arguments(trained.images, *adapting, *start)) == 0
    logistic = [*LOGISTIC, "trainer.c=[10]", "trainer.copies=2", "trainer.balance=loss"]
    assert main(tiny_arguments(trained.images, *VIT, *logistic, *alone)) == 0
    begun, fitted = (load(run / "bundle").detector.linear for run in sorted(Path("outputs/train/tiny").iterdir()))
    torch.testing.assert_close(begun.weight, fitted.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(begun.bias, fitted.bias, atol=1e-4, rtol=1e-4)


def test_a_head_of_several_units_begins_with_copies_but_no_splices(trained: Trained, workdir: Path) -> None:
    """Each unit is fitted to a source of fakes, and splices come from none."""
    rows = [
        (path, "fake" if path.parent.name == "fake" else "real", f"from {number % 2}")
        for number, path in enumerate(sorted(trained.images.rglob("*.png")))
    ]
    pd.DataFrame(rows, columns=["path", "label", "from"]).to_csv("two.csv", index=False)
    table = ["data.source=two.csv", "data.csv_fake=fake", "data.csv_source=from", "augment.splices=1", "model.units=0"]
    assert main(tiny_arguments(trained.images, *ADAPTING, *table, "trainer.max_steps=1")) == 0
    assert load(newest_run(workdir) / "bundle").detector.linear.out_features == 2


def test_a_run_that_goes_on_keeps_the_head_it_began_with(
    trained: Trained, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*ADAPTING, "trainer.max_steps=3", "trainer.checkpoint_seconds=0"]
    step = DetectorTask.step

    def cut_off(self: DetectorTask, batch: list, number: int) -> dict:
        if number == 2:
            raise KeyboardInterrupt
        return step(self, batch, number)

    assert main(tiny_arguments(trained.images, *settings)) == 0
    with monkeypatch.context() as patch:
        patch.setattr(DetectorTask, "step", cut_off)
        assert main(tiny_arguments(trained.images, *settings)) == 130
    monkeypatch.delattr("dfd.training.head_start.LogisticTask")  # a second fit would cost as much as the first
    assert main(tiny_arguments(trained.images, *settings, "resume=true")) == 0
    whole, parts = (load(run / "bundle").detector for run in sorted(Path("outputs/train/tiny").iterdir()))
    torch.testing.assert_close(parts.state_dict(), whole.state_dict(), atol=0, rtol=0)


@pytest.mark.parametrize("folds", [[], ["cv.folds=2", "cv.final=refit"], ["cv.folds=2"]])
def test_an_adapted_transformer_that_also_saw_splices_is_a_bundle_like_any_other(
    trained: Trained, workdir: Path, folds: list[str]
) -> None:
    settings = [*VIT, "model.lora=2", "model.lora_from=3", "augment=shared", "trainer=lora", *folds]
    assert main([*tiny_arguments(trained.images, *settings), "trainer.epochs=1", "trainer.batch_size=8"]) == 0
    bundle = load(newest_run(workdir) / "bundle")
    for detector in bundle.detectors:
        assert not [name for name in detector.state_dict() if ".base." in name or ".down" in name]
    assert main(["explain", str(trained.images / "fake" / "000.png"), f"bundle={newest_run(workdir)}"]) == 0


def test_threshold_and_scale_are_also_chosen_on_changed_copies(
    trained: Trained, workdir: Path, refused: Refused
) -> None:
    assert main(tiny_arguments(trained.images, "augment.val_copies=3", "augment.noise=1")) == 0
    assert main(tiny_arguments(trained.images, "augment.noise=1")) == 0
    with_copies, without = (load(run / "bundle") for run in sorted(Path("outputs/train/tiny").iterdir()))
    assert with_copies.sha256 == without.sha256, "the same network"
    assert with_copies.calibration != without.calibration
    assert with_copies.metrics == without.metrics, "figures are of the images as they are"
    for more, told in (
        (["augment.val_copies=1", "cv.folds=2"], "augment.val_copies=1 has no part in a cross-validation"),
        (["augment.val_copies=1", "augment=none"], "augment.val_copies=1: augment=none changes no image"),
        (["augment.val_copies=1", "augment=none", "augment.splices=1"], "augment=none changes no image"),
    ):
        assert told in refused(tiny_arguments(trained.images, *more))


def test_an_image_that_vanished_ends_the_run_with_its_name(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = two_class_folder(tmp_path / "images", each=30)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "prepare", "data=folder", "data.name=tiny", f"data.source={images}"]) == 0
    monkeypatch.setattr("dfd.commands.data.prepare", lambda _: Manifest.load(tmp_path / "data" / "prepared" / "tiny"))
    for file in (images / "real").iterdir():
        file.unlink()
    capsys.readouterr()
    assert main(tiny_arguments(images)) == 2
    assert "real/" in (message := capsys.readouterr().err) and "dfd data prepare" in message
    assert "Traceback" not in message


def test_tensorboard_on_request(trained: Trained, workdir: Path) -> None:
    assert main(tiny_arguments(trained.images, "trainer.tensorboard=true", "trainer.max_steps=1")) == 0
    assert list((newest_run(workdir) / "tensorboard").glob("events.out.tfevents.*"))


def test_a_run_that_was_cut_off_before_its_first_checkpoint_resumes(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("dfd.commands.train.fit", cut_off)
        assert main(tiny_arguments(trained.images)) == 130
    assert main(tiny_arguments(trained.images, "resume=true")) == 0
    (run,) = (tmp_path / "outputs" / "train" / "tiny").iterdir()
    pd.testing.assert_frame_equal(*(pd.read_parquet(one / "predictions.parquet") for one in (run, trained.run)))


def test_images_that_cannot_be_used_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = two_class_folder(tmp_path / "images", each=30)
    (images / "fake" / "000.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main(tiny_arguments(images, "trainer.max_steps=1")) == 0
    assert "1 images could not be read: data/prepared/tiny/unusable.csv" in capsys.readouterr().out
