"""Runs the real commands on a folder of 60 small images, with a network of 0.2 million weights."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from dfd.cli import main
from tests.factories import two_class_folder

TINY = (
    "model=resnet50",
    "model.backbone=test_resnet.r160_in1k",
    "model.pretrained=false",
    "model.input_size=32",
    "runtime.device=cpu",
    "runtime.workers=0",
    "evaluation.resamples=100",
)


def tiny_arguments(images: Path, *more: str) -> list[str]:
    """`dfd train` arguments that end within seconds."""
    data = ["data=folder", "data.name=tiny", f"data.source={images}", "augment=light"]
    return ["train", *data, *TINY, "trainer.epochs=2", "trainer.batch_size=8", "trainer.lr=3e-3", "name=tiny", *more]


def brief(patch: pytest.MonkeyPatch) -> None:
    """Plots without the layout of their labels, and one timed pass: tests/report and tests/inference have those."""
    patch.setattr("dfd.report.svg.Figure", lambda figsize, layout: Figure(figsize=figsize))
    patch.setattr("dfd.inference.timing.RUNS", 1)
    patch.setattr("dfd.inference.timing.WARM_UP", 0)


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch)


@dataclass(frozen=True)
class Trained:
    """A working folder with one finished run in it."""

    folder: Path
    images: Path
    run: Path

    @property
    def metrics(self) -> dict:
        return json.loads((self.run / "metrics.json").read_text())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("work")
    images = two_class_folder(folder / "images", each=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        brief(patch)
        assert main(tiny_arguments(images)) == 0
    return Trained(folder, images, newest_run(folder))


@dataclass(frozen=True)
class Crossed:
    """A working folder with two runs in the same three folds."""

    folder: Path
    images: Path
    runs: tuple[Path, Path]


@pytest.fixture(scope="session")
def crossed(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Crossed:
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        brief(patch)
        for name, seed in (("tiny", 0), ("other", 1)):
            assert main(tiny_arguments(trained.images, "cv.folds=3", f"name={name}", f"seed={seed}")) == 0
    return Crossed(folder, trained.images, (newest_run(folder), newest_run(folder, name="other")))


GAN = (
    "gan.resolution=32",
    "gan.latent=16",
    "gan.channel_base=256",
    "gan.channel_max=8",
    "gan.batch_size=8",
    "gan.kimg=0.032",
    "gan.tick_kimg=0.016",
    "fid.n=32",
    "runtime.device=cpu",
    "runtime.workers=0",
    "evaluation.resamples=100",
)


def gan_arguments(images: Path, *more: str) -> list[str]:
    """`dfd gan train` arguments that end within seconds."""
    data = ["data=folder", "data.name=tiny", f"data.source={images}"]
    return ["gan", "train", *data, *GAN, "name=tiny", *more]


@dataclass(frozen=True)
class TrainedGan(Trained):
    """`fitted`: labels and groups of the rows that each head was fitted or calibrated on."""

    fitted: list[tuple[Any, Any]]


@pytest.fixture(scope="session")
def gan(tmp_path_factory: pytest.TempPathFactory) -> TrainedGan:
    from dfd.commands import gan_detector

    fitted: list[tuple[Any, Any]] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *a: (fitted.append((a[1], a[2])), function(*a))[1]

    folder = tmp_path_factory.mktemp("gan")
    images = two_class_folder(folder / "images", each=48)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        brief(patch)
        for name in ("fit_head", "calibrate"):
            patch.setattr(gan_detector, name, noted(getattr(gan_detector, name)))
        assert main(gan_arguments(images)) == 0
    return TrainedGan(folder, images, newest_run(folder, "gan-train"), fitted)


Refused = Callable[[list[str]], str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command line that is a mistake of the user's, and gives what it is told."""

    def message_to(arguments: list[str]) -> str:
        capsys.readouterr()
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert "Traceback" not in told
        return told

    return message_to


def newest_run(folder: Path, command: str = "train", name: str = "tiny") -> Path:
    return sorted((folder / "outputs" / command / name).iterdir())[-1]


@contextmanager
def spoiled(files: list[Path]) -> Iterator[None]:
    """Make files unreadable for a while, in a way that `prepare` does not notice: same size, same time."""
    kept = [(file, file.stat(), file.read_bytes()) for file in files]
    try:
        for file, stat, content in kept:
            _write(file, bytes(len(content)), stat)
        yield
    finally:
        for file, stat, content in kept:
            _write(file, content, stat)


def _write(file: Path, content: bytes, stat: os.stat_result) -> None:
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
