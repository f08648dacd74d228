import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dfd.cli import main
from dfd.config import DataConfig
from dfd.data.prepare import prepare
from dfd.errors import EXIT_PARTIAL, EXIT_USER_ERROR
from dfd.gan import storage
from dfd.gan.generator import Generator, GeneratorShape
from dfd.inference import cache
from dfd.models.detector import create_backbone
from tests.commands.conftest import Trained
from tests.factories import tiny_model, two_class_folder
from tests.images import hostile

SHORT = ("fid.subsets=5", "runtime.device=cpu", "runtime.workers=0")


@dataclass(frozen=True)
class Work:
    """A working folder with real and fake images, a network's weights, and a GAN that nobody has trained."""

    folder: Path
    images: Path
    network: tuple[str, ...]  # settings: a network of 0.2 million weights

    def eval(self, *words: str) -> int:
        return main(["eval", *self.network, *SHORT, *words])

    def folders(self, *words: str) -> int:
        return self.eval(f"fid.real={self.images}/real", f"fid.fake={self.images}/fake", *words)

    @property
    def run(self) -> Path:
        return max(self.folder.glob("outputs/eval/*/*"), key=lambda path: path.stat().st_mtime)

    @property
    def figures(self) -> dict:
        return json.loads((self.run / "metrics.json").read_text())


@pytest.fixture
def work(workdir: Path) -> Work:
    images = two_class_folder(workdir / "images", each=30)
    torch.manual_seed(0)
    state = create_backbone(tiny_model()).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, workdir / "w.safetensors")
    network = (
        "fid=efficientnet_lite0",
        "fid.name=tiny",
        "fid.backbone=test_resnet.r160_in1k",
        "fid.weights=w.safetensors",
    )
    return Work(workdir, images, network)


@pytest.fixture
def gan(work: Work) -> Path:
    data = DataConfig(name="faces", source=str(work.images))
    torch.manual_seed(0)
    generator = Generator(GeneratorShape(resolution=32, latent=8, mapping_layers=1, channel_base=64, channel_max=8))
    run = work.folder / "outputs" / "gan-train" / "faces-32px" / "now"
    storage.save(storage.Saved("faces-32px", generator, asdict(data), prepare(data).fingerprint), run)
    (run / "metrics.json").touch()  # a finished one
    return run


def never(*_: object, **__: object) -> None:
    pytest.fail("images were read")


def test_two_folders(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert work.folders() == 0
    figures = work.figures
    assert figures["kind"] == "fid" and figures["label"] == "FD(tiny)"
    assert (figures["n_real"], figures["n_fake"], figures["resolution"], figures["filter"]) == (30, 30, 40, "lanczos")
    for figure in (figures["fd"], figures["kid"], figures["floor"]["fd"], figures["like"]["fd"], figures["diversity"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert figures["floor"]["fd"]["n"] == figures["like"]["fd"]["n"] == 15
    assert figures["like"]["fd"]["value"] > figures["floor"]["fd"]["value"]  # the fakes have a grid over them
    assert len(figures["extractor"]["sha256"]) == 64 and figures["held_out"] == "each training image against the others"
    told = capsys.readouterr().out
    assert "FD floor" in told and "Few images" in told and "FID" not in told
    assert (work.run / "report.html").read_text().count("data:image/png") == 16


def test_the_same_command_gives_the_same_figures(work: Work) -> None:
    assert work.folders("fid.n=20") == 0
    first = work.figures
    assert work.folders("fid.n=20", "fid.batch_size=32") == 0
    assert work.figures == first
    assert work.folders("fid.n=20", "fid.seed=1") == 0
    assert work.figures["fd"] != first["fd"] and work.figures["n_fake"] == 20


def test_a_gan_against_its_own_data_and_a_second_time_from_the_cache(
    work: Work, gan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work.eval("fid.n=40", "fid.trunc=0.7") == 0
    first = work.figures
    assert first["gan"]["name"] == "faces-32px" and first["trunc"] == 0.7
    assert first["fingerprint"] == first["gan"]["trained_on"]
    assert (first["resolution"], first["n_fake"], first["split"], first["data"]) == (32, 40, "train", "faces")
    assert first["held_out"] == "reals of the val split"
    assert first["n_real"] + first["memorisation"]["n_held_out"] < 30  # test images are not looked at
    (rows,) = (work.folder / "data" / "features").glob("faces/*/rows.parquet")
    assert len(pd.read_parquet(rows)) < 30  # of 60 images, no fake and no test image
    monkeypatch.setattr(cache, "_compute", never)
    assert work.eval(f"fid.run={gan}", "fid.n=40", "fid.trunc=0.7") == 0
    assert work.figures == first


def test_all_splits_of_the_real_images_can_be_compared_and_fakes_of_the_data_never_are(work: Work, gan: Path) -> None:
    assert work.eval("fid.n=20", "fid.split=all", "fid.resolution=16") == 0
    assert work.figures["n_real"] == 30 and work.figures["resolution"] == 16


def test_copies_of_training_images_are_found_and_shown(work: Work) -> None:
    shutil.copy(work.images / "real" / "003.png", work.images / "fake" / "copy.png")
    assert work.folders() == 0
    page = (work.run / "report.html").read_text()
    first = page[page.index("The closest pairs") :].partition("</li>")[0]
    assert "copy.png" in first and "003.png" in first and "distance 0" in first


def test_files_that_cannot_be_read_are_named_and_left_out(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    reasons = hostile(work.images / "fake")
    assert work.folders("fid.resolution=40") == EXIT_PARTIAL
    assert work.figures["n_fake"] == 30 and work.figures["n_unreadable"] == len(reasons)
    assert "truncated.jpg: truncated" in capsys.readouterr().out.replace("\n", "")
    assert "not an image" in (work.run / "report.html").read_text()


def test_mixed_sizes_are_refused_unless_a_size_is_named(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 50)).save(work.images / "fake" / "large.png")
    assert work.folders() == EXIT_USER_ERROR
    told = " ".join(capsys.readouterr().err.split())
    assert "000.png has 40 x 40" in told and "large.png has 64 x 50" in told and "fid.resolution=40" in told
    assert work.folders("fid.resolution=40") == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fid.real=images/real"], "fid.real is given, and fid.fake is not"),
        (["fid.fake=images/fake"], "fid.fake is given, and fid.real is not"),
        (["fid.real=images/real", "fid.fake=nowhere"], "no such file or folder: 'nowhere'"),
        (["fid.real=images/real", "fid.fake=empty"], "no images found: 'empty'"),
        (["fid.real=images/real", "fid.fake=one"], "1 readable images in fid.fake=one"),
        (["fid.real=images/real", "fid.fake=images/fake", "fid.run=x"], "fid.run has no part"),
        (["fid.real=images/real", "fid.fake=images/fake", "fid.n=31"], "there are 30 images"),
        ([], "run `dfd gan train` first"),
        (["fid.run=nowhere"], "fid.run=nowhere"),
        (["bundle=x"], "bundle has no part in fid"),
        (["data=demo"], "data has no part in fid"),
        (["robustness=web"], "robustness has no part in fid"),
        (["runtime.precision=bf16"], "fp32"),
        (["fid.backbone=bundle", "fid.bundle=nowhere"], "fid.bundle=nowhere"),
    ],
)
def test_what_the_user_can_mend(
    work: Work, words: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work.folder / "empty").mkdir()
    (work.folder / "one").mkdir()
    shutil.copy(work.images / "real" / "003.png", work.folder / "one" / "a.png")
    assert work.eval(*words) == EXIT_USER_ERROR
    assert told in " ".join(capsys.readouterr().err.split())


def test_data_of_a_gan_that_are_gone(work: Work, gan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(work.images)
    shutil.rmtree(work.folder / "data")
    assert work.eval("fid.n=20") == EXIT_USER_ERROR
    assert "fid.real=FOLDER fid.fake=FOLDER" in capsys.readouterr().err


def test_two_images_a_side_are_enough_and_what_they_cannot_tell_is_said(work: Work) -> None:
    for folder in ("real", "fake"):
        for path in sorted((work.images / folder).iterdir())[2:]:
            path.unlink()
    assert work.folders() == 0
    figures = work.figures
    assert figures["fd"]["value"] > 0
    assert figures["kid"]["value"] is None and figures["floor"]["fd"]["value"] is None
    assert np.isfinite(figures["diversity"]["value"])


def test_a_bundles_own_features(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.folder)
    folders = (f"fid.real={trained.images}/real", f"fid.fake={trained.images}/fake")
    assert main(["eval", "fid=bundle", f"fid.bundle={trained.run}", *folders, *SHORT]) == 0
    run = max(trained.folder.glob("outputs/eval/*/*"), key=lambda path: path.stat().st_mtime)
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["label"] == "FD(tiny-resnet50)" or figures["label"].startswith("FD(tiny")
    assert figures["extractor"]["sha256"] == trained.metrics["weights_sha256"]


def test_several_distances_are_not_compared_as_if_they_were_detectors(work: Work) -> None:
    assert work.folders("-m", "fid.seed=0,1") == 0
    assert main(["compare"]) == EXIT_USER_ERROR  # no finished run of a detector
