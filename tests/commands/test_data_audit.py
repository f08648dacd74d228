"""`dfd data audit` on folders with planted leaks, on a clean one, and with a detector and an encoder."""

import json
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from dfd.audit.store import load_scores
from dfd.cli import main
from tests.commands.conftest import Refused, Trained, newest_run, spoiled
from tests.factories import two_class_folder
from tests.images import picture

QUICK = ("runtime.device=cpu", "runtime.workers=0", "evaluation.resamples=100", "folds=2")
EACH = 24


def folder_of(root: Path, leaky: bool) -> Path:
    """Unrelated pictures; if `leaky`, the fakes are wider, saved at another quality, and tagged."""
    for fake, name in enumerate(("real", "fake")):
        (root / name).mkdir(parents=True)
        for number in range(EACH):
            odd = leaky and fake
            exif = Image.Exif()
            exif[0x0131] = "GIMP 2.10"
            image = Image.fromarray(picture(number + 1000 * fake, width=56 if odd else 48))
            extra = {"exif": exif} if odd else {}
            image.save(root / name / f"{number:02}.jpg", quality=90 if odd else 75, **extra)
    return root


def arguments(name: str, images: Path, *more: str) -> list[str]:
    return ["data", "audit", "data=folder", f"data.name={name}", f"data.source={images}", *QUICK, *more]


def figures_of(work: Path, name: str) -> dict:
    return json.loads((newest_run(work, "data-audit", name) / "audit.json").read_text())


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which a leaky and a clean data set were audited; the encoder's weights are out of reach."""
    work = tmp_path_factory.mktemp("audit")

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setattr(urllib.request, "urlopen", unreachable)
        patch.setenv("HF_HOME", str(work))
        assert main(arguments("leaky", folder_of(work / "images-leaky", leaky=True))) == 0
        assert main(arguments("clean", folder_of(work / "images-clean", leaky=False), "encoder=none")) == 0
    return work


@pytest.mark.parametrize(
    ("name", "column"), [("quantisation", "JPEG quality"), ("size", "width"), ("metadata", "tag Software = GIMP 2.10")]
)
def test_each_planted_leak_is_found_and_named(audited: Path, name: str, column: str) -> None:
    found = figures_of(audited, "leaky")["sets"][name]
    assert found["auroc"]["value"] >= 0.95 and found["level"] == "severe"
    assert column in [each["column"] for each in found["telling"]]
    page = (newest_run(audited, "data-audit", "leaky") / "report.html").read_text()
    assert column in page and "severe" in page


def test_what_was_not_planted_is_not_found(audited: Path) -> None:
    assert {figures_of(audited, "leaky")["sets"][name]["level"] for name in ("format", "thumbnail", "blurred")} == {
        "clean"
    }


def test_a_clean_set_comes_out_clean(audited: Path) -> None:
    figures = figures_of(audited, "clean")
    for each in figures["sets"].values():
        assert each["level"] == "clean" and each["auroc"]["low"] <= 0.5 <= each["auroc"]["high"]
    assert figures["primary"]["made_of"] == ["all"] and figures["n"] == 2 * EACH


def test_missing_encoder_weights_are_told_with_the_way_out(audited: Path) -> None:
    figures = figures_of(audited, "leaky")
    assert "cannot be reached" in figures["encoder"]["missing"]
    page = (newest_run(audited, "data-audit", "leaky") / "report.html").read_text()
    assert "Not measured" in page and "encoder.weights=FILE.safetensors" in page
    assert figures_of(audited, "clean")["encoder"] is None


def test_scores_lie_beside_the_manifest(audited: Path) -> None:
    prepared = audited / "data" / "prepared" / "leaky"
    manifest = json.loads((prepared / "manifest.json").read_text())
    scores = load_scores(prepared, manifest["fingerprint"])
    assert scores is not None and len(scores) == 2 * EACH and scores["sha256"].is_unique
    assert {"primary", "all", "metadata", "fold"} <= set(scores) and scores["primary"].between(0, 1).all()
    table = pd.read_parquet(prepared / "manifest.parquet").merge(scores, on="sha256")
    assert table.loc[table["label"] == 1, "size"].min() > table.loc[table["label"] == 0, "size"].min()


def test_the_page_needs_no_other_file(audited: Path) -> None:
    page = (newest_run(audited, "data-audit", "leaky") / "report.html").read_text()
    assert "<script" not in page and not re.search(r'(src|href)="(?!#|data:)|url\((?!#)|@import', page)


@pytest.fixture
def encoder(tmp_path: Path) -> tuple[str, ...]:
    """A tiny network in the place of CLIP."""
    backbone = timm.create_model("test_resnet.r160_in1k", pretrained=False, num_classes=0)
    save_file(backbone.state_dict(), tmp_path / "tiny.safetensors")
    name = ("encoder.name=tiny", "encoder.backbone=test_resnet.r160_in1k")
    return (*name, f"encoder.weights={tmp_path / 'tiny.safetensors'}", "encoder.sides=[4,12]")


def test_detector_encoder_and_unreadable_images(
    trained: Trained, workdir: Path, encoder: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    images = two_class_folder(workdir / "images", each=40, seed=9)
    bundle = f"bundle={trained.run}"
    call = arguments("noise", images, *encoder, bundle, "side=32", "data.fractions=[0.3,0.2,0.5]")
    assert main(["data", "prepare", *(each for each in call[2:] if each.startswith("data"))]) == 0
    with spoiled([images / "real" / "007.png"]):
        assert main(call) == 3
    out = capsys.readouterr().out
    figures = figures_of(workdir, "noise")
    assert figures["n_unreadable"] == 1 and figures["unreadable"][0]["path"] == "real/007.png" and figures["n"] == 79
    assert "1 unreadable images left out" in out and "Encoder, 4 px" in out

    assert figures["primary"]["made_of"] == ["all", "encoder_4"]
    assert figures["sets"]["encoder_sharp"]["level"] == "reference"
    assert set(figures["conditional"]) == {"encoder_12 given encoder_4", "encoder_sharp given encoder_4"}
    found = figures["bundle"]
    assert found["split"] == "test" and found["before"]["n"] == found["after"]["n"] in (39, 40)
    assert found["before"]["value"] > 0.9
    drop = found["drop"]
    assert drop["value"] == pytest.approx(found["before"]["value"] - found["after"]["value"])
    assert drop["low"] <= drop["value"] <= drop["high"]
    assert (found["conditional"]["value"] is None) == ("reason" in found["conditional"])


@pytest.mark.parametrize(
    ("each", "more", "message"),
    [
        (2, (), "too few images to audit bad: 2 real and 2 fake"),
        (12, ("encoder.weights=a/model.safetensors",), "encoder.weights=a/model.safetensors: no such file"),
        (
            12,
            ("encoder.backbone=resnet50.typo",),
            "encoder.backbone=resnet50.typo: timm has no such weights of resnet50",
        ),
        (12, ("encoder=none", "bundle=nowhere"), "bundle=nowhere: no bundle.yaml there"),
        (12, ("folds=1",), "folds=1 is too small"),
    ],
)
def test_mistakes_are_told_in_one_message(
    workdir: Path, refused: Refused, each: int, more: tuple[str, ...], message: str
) -> None:
    images = two_class_folder(workdir / "images", each=each)
    assert message in refused(arguments("bad", images, "data.fractions=[1,0,0]", *more))
    assert not list(workdir.rglob("audit.json")) and not list(workdir.rglob("report.html"))


def test_one_class_missing(workdir: Path, refused: Refused) -> None:
    images = two_class_folder(workdir / "images", each=3)
    for path in (images / "fake").iterdir():
        path.unlink()
    assert "no" in refused(arguments("bad", images))


def test_a_bundle_that_has_seen_the_images_is_refused(trained: Trained, workdir: Path, refused: Refused) -> None:
    call = arguments("again", trained.images, "encoder=none", f"bundle={trained.run}", "data.split_seed=5")
    assert "it has not seen" in refused(call)


@pytest.mark.parametrize(("workers", "started"), [(0, []), (1, []), (2, [2]), (-1, [3])])
def test_as_many_processes_read_as_were_asked_for(
    audited: Path, monkeypatch: pytest.MonkeyPatch, workers: int, started: list[int]
) -> None:
    found: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, count: int, *_: object) -> None:
            found.append(count)
            super().__init__(count)

    monkeypatch.chdir(audited)
    monkeypatch.setattr("dfd.audit.reading.ProcessPoolExecutor", Pool)
    monkeypatch.setattr("dfd.audit.reading.SERIAL", 1)
    monkeypatch.setattr("dfd.audit.reading.CHUNK", 8)
    monkeypatch.setattr("dfd.machine.available_cores", lambda: 3)
    call = arguments("clean", audited / "images-clean", "encoder=none", f"runtime.workers={workers}")
    assert main([word for word in call if word != "runtime.workers=0" or workers == 0]) == 0
    assert found == started


def test_two_audits_agree(audited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(audited)
    before = figures_of(audited, "clean")
    assert main(arguments("clean", audited / "images-clean", "encoder=none")) == 0
    after = figures_of(audited, "clean")
    assert after["sets"] == before["sets"] and after["primary"] == before["primary"]
