import json
import shutil
from pathlib import Path

import pytest
import torch

from dfd.cli import main
from dfd.config import RuntimeConfig
from dfd.data.manifest import Manifest
from dfd.models.bundle import DetectorBundle, load, seen_in
from dfd.runtime import start
from dfd.training.teacher import Teacher
from tests.commands.conftest import Crossed, Refused, Trained, newest_run, tiny_arguments
from tests.factories import two_class_folder


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_targets_lie_between_the_labels_and_what_the_teacher_says(trained: Trained, share: float) -> None:
    bundle = load(trained.run / "bundle")
    assert isinstance(bundle, DetectorBundle)
    images = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    teacher = Teacher(
        trained.run / "bundle", bundle, share, start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False)
    )
    with torch.no_grad():
        said = torch.from_numpy(bundle.calibration.prob(bundle.detector.eval()(images).numpy())).float()
    torch.testing.assert_close(teacher.targets(labels, images), (1 - share) * labels + share * said)


def test_a_pupil_learns_what_its_teacher_says(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that took fakes for real images and real images for fakes teaches the opposite of the labels."""
    monkeypatch.chdir(tmp_path)
    images = two_class_folder(tmp_path / "images", each=30, seed=1)
    for old, new in (("real", "other"), ("fake", "real"), ("other", "fake")):
        (images / old).rename(images / new)
    learning = ["trainer.epochs=8", "augment=none"]
    assert main([*tiny_arguments(images), *learning, "data.name=turned", "name=teacher"]) == 0
    teacher = newest_run(tmp_path, name="teacher")
    capsys.readouterr()
    taught = [f"trainer.teacher={teacher}", "trainer.teacher_share=1"]
    assert main([*tiny_arguments(trained.images), *learning, *taught]) == 0
    assert f"teacher      teacher: {teacher}/bundle" in capsys.readouterr().out
    run = newest_run(tmp_path)
    assert json.loads((run / "metrics.json").read_text())["overall"]["auroc"]["value"] < 0.2
    pupil = load(run / "bundle")
    assert pupil.training["teacher_sha256"] == load(teacher / "bundle").sha256
    assert pupil.seen > load(teacher / "bundle").seen


def test_a_teacher_that_knows_the_test_images_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Split anew, images of the teacher's train split lie in the pupil's test split."""
    monkeypatch.chdir(tmp_path)
    anew = [*tiny_arguments(trained.images), "data.split_seed=7", "data.name=anew", f"trainer.teacher={trained.run}"]
    assert main(anew) == 2
    rows = Manifest.load(tmp_path / "data" / "prepared" / "anew").rows("test")
    known = len(seen_in(rows) & load(trained.run / "bundle").seen)
    assert known and f"{known} of the {len(rows)} test images of anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cv.folds=2"], "has no part in a cross-validation"),
        (["model.freeze=backbone"], "accepted is model.freeze=none"),
        (["model.input_size=64"], "looks at images with size 32 and the model that is trained at 64"),
        (["trainer.solver=logistic", "model.freeze=backbone"], "accepted is trainer.solver=gradient"),
        (["trainer.teacher_share=1.5"], "trainer.teacher_share=1.5"),
        (["trainer.teacher=nowhere"], "trainer.teacher=nowhere: no bundle.yaml there"),
    ],
)
def test_what_a_teacher_cannot_do_is_told(
    trained: Trained, workdir: Path, refused: Refused, settings: list[str], message: str
) -> None:
    assert message in refused([*tiny_arguments(trained.images), f"trainer.teacher={trained.run}", *settings])
    assert not list(workdir.rglob("bundle.yaml"))


def test_an_ensemble_does_not_teach(
    crossed: Crossed, workdir: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    runs = ",".join(str(run) for run in crossed.runs)
    assert main(["ensemble", f"members=[{runs}]", "name=both", "evaluation.resamples=100"]) == 0
    ensemble = newest_run(workdir, command="ensemble", name="both")
    capsys.readouterr()
    assert "is an ensemble; accepted is one detector" in refused(
        [*tiny_arguments(crossed.images), f"trainer.teacher={ensemble}"]
    )


def test_a_run_goes_on_with_the_teacher_that_it_began_with(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of runs stands for the newest of them, which may be another one by then."""

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    short = [*tiny_arguments(trained.images), "trainer.max_steps=2"]
    pupil = [*short, "trainer.teacher=outputs/train/teacher"]
    assert main([*short, "name=teacher"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("dfd.commands.train._bundle", cut_off)
        assert main(pupil) == 130
    assert main([*short, "name=teacher", "seed=1"]) == 0
    capsys.readouterr()
    assert main([*pupil, "resume=true"]) == 2
    told = capsys.readouterr().err
    assert "is not the bundle that this run began with" in told and "Traceback" not in told
    shutil.rmtree(newest_run(tmp_path, name="teacher"))
    assert main([*pupil, "resume=true"]) == 0
