"""The commands of the GAN on small images: what they write, what can be done with it, and what they say of mistakes."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from dfd.cli import main
from dfd.config.typed import list_assignment
from dfd.data.manifest import Manifest
from dfd.gan.sampling import draw
from dfd.models.bundle import load
from tests.commands.conftest import TINY, Refused, Trained, TrainedGan, gan_arguments, newest_run
from tests.factories import two_class_folder


@pytest.fixture
def inside(gan: Trained, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.chdir(gan.folder)
    return gan


def test_a_run_leaves_a_generator_samples_pictures_pages_and_a_bundle(gan: Trained) -> None:
    assert sorted(path.name for path in (gan.run / "generator").iterdir()) == [
        "generator.safetensors",
        "generator.yaml",
    ]
    names = {path.name for path in (gan.run / "pictures").iterdir()}
    assert {"reals.png", "samples-000000016.png", "strips-000000032.png"} <= names
    assert not (gan.run / "checkpoint").exists()
    history = pd.read_csv(gan.run / "train.csv")
    assert list(history["kimg"]) == [0.016, 0.032]
    assert {"fd", "kid", "diversity", "p", "r_t", "loss_g", "loss_d", "gradient_g", "images_per_s"} <= set(history)
    assert (gan.run / "training.html").stat().st_size > 10_000
    assert (gan.run / "report.html").is_file()


def test_there_are_as_many_samples_as_reals_in_each_split(gan: Trained) -> None:
    samples = Manifest.load(gan.run / "samples").table
    reals = Manifest.load(gan.folder / "data" / "prepared" / "tiny").table.query("label == 0")
    assert len(samples) == len(reals)
    counts = pd.crosstab(samples["split"], "n")["n"] - pd.crosstab(reals["split"], "n")["n"]
    assert counts.abs().max() <= 1


def test_the_discriminator_is_measured_on_held_out_reals_and_new_samples(gan: Trained) -> None:
    metrics = gan.metrics
    assert metrics["split"] == "test"
    assert set(metrics["by_source"]) == {"tiny-real", "gan-tiny"}
    assert set(metrics["branches"]) == {"both", "image", "frequency", "critic"}
    assert metrics["branches"]["both"]["auroc"]["value"] == pytest.approx(metrics["overall"]["auroc"]["value"])
    assert {"value", "low", "high", "n"} <= metrics["branches"]["image"]["accuracy"].keys()


def test_the_head_is_fitted_on_val_which_the_critic_has_not_seen(gan: TrainedGan) -> None:
    table = Manifest.load(gan.folder / "data" / "prepared" / "tiny-real-min32+gan-tiny").table
    val = table[table["split"] == "val"]
    assert len(gan.fitted) == 6
    for labels, groups in gan.fitted:
        assert list(labels) == list(val["label"])
        assert list(groups) == list(val["group"])


def test_what_its_head_was_fitted_on_measures_and_combines_nothing(
    inside: Trained, tmp_path: Path, refused: Refused
) -> None:
    again = shutil.copytree(inside.run, tmp_path / "again")
    assert "was trained or tuned on all" in refused(["eval", f"bundle={inside.run}", "split=val", "runtime.device=cpu"])
    assert "was fitted on validation" in refused(["ensemble", f"members=[{inside.run},{again}]"])


def test_the_bundle_has_seen_the_reals_of_train_and_all_of_val(gan: Trained) -> None:
    bundle = load(gan.run / "bundle")
    table = Manifest.load(gan.folder / "data" / "prepared" / "tiny-real-min32+gan-tiny").table
    seen = table["sha256"].str[:16].isin(bundle.seen)
    assert (seen == ((table["split"] == "train") & (table["label"] == 0) | (table["split"] == "val"))).all()
    assert bundle.data["train"] == ((table["split"] == "train") & (table["label"] == 0)).sum()


def test_samples_that_are_all_alike_end_the_run_without_a_detector(
    gan: Trained, workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dfd.commands import gan_train

    def alike(generator: object, n: int, *_: object) -> list[np.ndarray]:
        return [np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8).repeat(n, axis=0)]

    monkeypatch.setattr(gan_train, "draw", alike)
    assert main(gan_arguments(gan.images)) == 0
    assert "no bundle    the samples nearly repeat each other" in capsys.readouterr().out
    run = newest_run(workdir, "gan-train")
    assert "no_detector" in json.loads((run / "metrics.json").read_text())
    assert (run / "generator" / "generator.yaml").is_file()
    assert main(["compare"]) == 2, "such a run is no result of a detector"


def test_the_discriminator_is_a_bundle_like_any_other(inside: Trained) -> None:
    arguments = ["runtime.device=cpu", "runtime.workers=0", "evaluation.resamples=100"]
    assert main(["eval", f"bundle={inside.run}", *arguments]) == 0
    again = json.loads((sorted(Path("outputs/eval").glob("*/*"))[-1] / "metrics.json").read_text())
    assert again["overall"]["auroc"] == inside.metrics["overall"]["auroc"]
    some = str(next((inside.images / "real").iterdir()))
    assert main(["predict", some, f"bundle={inside.run}", "runtime.device=cpu"]) == 0


def test_generate_gives_the_same_images_for_any_number(inside: Trained) -> None:
    for n in (5, 40):
        assert main(["gan", "generate", f"n={n}", "seed=3", "trunc=0.7", f"name=n{n}", "runtime.device=cpu"]) == 0
    few, many = (newest_run(inside.folder, "gan-generate", f"n{n}") / "images" for n in (5, 40))
    assert len(list(many.iterdir())) == 40
    for path in few.iterdir():
        assert path.read_bytes() == (many / path.name).read_bytes()


def test_generated_images_are_the_generators(inside: Trained) -> None:
    from dfd.gan import storage
    from dfd.runtime import RuntimeConfig, start

    assert main(["gan", "generate", f"run={inside.run}", "n=4", "seed=9", "name=four", "runtime.device=cpu"]) == 0
    folder = newest_run(inside.folder, "gan-generate", "four")
    runtime = start(RuntimeConfig(device="cpu"), cpu_bf16=False)
    generator = runtime.place(storage.load(inside.run).generator)
    wanted = np.concatenate(list(draw(generator, 4, 9, 1.0, runtime.device)))
    found = [np.asarray(Image.open(path)) for path in sorted((folder / "images").iterdir())]
    assert np.array_equal(np.stack(found), wanted)


def test_a_detector_trains_with_our_fakes_added(inside: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    main(["gan", "generate", "n=30", "name=more", "runtime.device=cpu"])
    fakes = newest_run(inside.folder, "gan-generate", "more")
    arguments = ["trainer.max_steps=2", "trainer.batch_size=8", "name=mixed", *TINY]
    assert (
        main(["train", f"data=[folder,gan:{fakes}]", "data.name=tiny", f"data.source={inside.images}", *arguments]) == 0
    )
    metrics = json.loads((newest_run(inside.folder, "train", "mixed") / "metrics.json").read_text())
    assert metrics["data"] == "tiny+gan-tiny"
    assert set(metrics["by_source"]) == {"tiny-real", "tiny-fake", "gan-tiny"}


REDRAW = ("data=folder", "data.name=tiny", "steps=2", "crop=16", "runtime.device=cpu", "runtime.workers=0")


def test_photographs_are_redrawn_and_a_detector_trains_with_them(
    inside: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"data.source={inside.images}"
    assert main(["gan", "redraw", *REDRAW, source, "families=[shuffle,upscaled8]"]) == 0
    told = capsys.readouterr().out
    run = newest_run(inside.folder, "gan-redraw", "tiny")
    assert f"use          dfd train, on the same data, with {list_assignment('data.add', [f'gan:{run}'])}" in told
    reals = Manifest.load(inside.folder / "data" / "prepared" / "tiny").table.query("label == 0")
    made = Manifest.load(run).table
    assert sorted(zip(made["group"], made["split"], strict=True)) == sorted(
        zip(reals["group"], reals["split"], strict=True)
    )
    arguments = ["trainer.max_steps=2", "trainer.batch_size=8", "name=redrawn", *TINY]
    assert main(["train", "data=folder", f"data.add=[gan:{run}]", "data.name=tiny", source, *arguments]) == 0
    metrics = json.loads((newest_run(inside.folder, "train", "redrawn") / "metrics.json").read_text())
    assert set(metrics["by_source"]) == {"tiny-real", "tiny-fake", "redrawn"}


def test_redrawing_leaves_out_what_it_cannot_imitate_and_says_so(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = two_class_folder(workdir / "images", each=40)
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(images / "real" / f"x{number}.gif")
    Image.fromarray(rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(images / "real" / "y.png")
    arguments = ["gan", "redraw", *REDRAW, f"data.source={images}", "families=[nearest]", "max_side=60"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert "4 are left out: too small, too large, or of a format" in capsys.readouterr().out
    first, again = (Manifest.load(run) for run in sorted((workdir / "outputs" / "gan-redraw" / "tiny").iterdir()))
    assert len(first.table) == 40
    assert first.fingerprint == again.fingerprint, "the same seed draws the same"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["families=[]"], "families=[] names no way of drawing"),
        (
            ["families=[poured]"],
            "not one of the choices: upscaled2, upscaled4, upscaled8, denoised, nearest, latent, shuffle, transposed",
        ),
        (["crop=64"], "0 real images to learn from in its train split (of at least crop=64 pixels a side"),
        (["max_side=30"], "at most max_side=30 squared"),
        (["crop=18"], "crop=18: accepted are multiples of 8"),
        (["data.add=[gan:RUN]"], "data.add=['gan:RUN'] has no part in gan redraw"),
        (["data.min_side=20"], "data.min_side=20 has no part in gan redraw"),
    ],
)
def test_mistakes_of_redrawing_are_told_at_once(
    inside: Trained, refused: Refused, arguments: list[str], message: str
) -> None:
    assert message in refused(["gan", "redraw", *REDRAW, f"data.source={inside.images}", *arguments])


def test_a_killed_run_is_resumed(inside: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfd.commands import gan_detector

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gan_detector, "save", die)
        assert main([*gan_arguments(inside.images), "name=cut"]) == 130
    assert main([*gan_arguments(inside.images), "name=cut", "resume=true"]) == 0
    run = newest_run(inside.folder, "gan-train", "cut")
    ours, theirs = (load_file(one / "generator" / "generator.safetensors") for one in (run, inside.run))
    assert all((ours[key] == theirs[key]).all() for key in theirs)
    assert json.loads((run / "metrics.json").read_text())["overall"] == inside.metrics["overall"]


def test_project_writes_a_picture_the_latents_and_a_row_for_each_photograph(inside: Trained) -> None:
    (inside.folder / "broken.jpg").write_bytes(b"no image")
    photos = [str(path) for path in sorted((inside.images / "real").iterdir())[:2]]
    assert main(["gan", "project", *photos, "broken.jpg", "steps=5", "runtime.device=cpu"]) == 3
    run = newest_run(inside.folder, "gan-project", "gan")
    table = pd.read_csv(run / "projections.csv")
    assert table["error"].notna().sum() == 1
    done = table[table["error"].isna()]
    assert (done["psnr_db"] > 3).all()
    for row in done.itertuples():
        assert Image.open(run / row.picture).size == (3 * 33 - 1, 32)
        assert load_file((run / row.picture).with_suffix(".safetensors"))["w"].shape[1] == 16


def test_photographs_alone_are_enough_for_a_gan(gan: Trained, workdir: Path) -> None:
    """No real/ and fake/ folders, no fakes: what most people have."""
    shutil.copytree(gan.images / "real", workdir / "photos" / "2026")
    assert main([*gan_arguments(workdir / "photos"), "data.own=real"]) == 0
    metrics = json.loads((newest_run(workdir, "gan-train") / "metrics.json").read_text())
    assert set(metrics["by_source"]) == {"tiny-real", "gan-tiny"}
    network = ["fid=efficientnet_lite0", "fid.n=40", "runtime.device=cpu", "runtime.workers=0"]
    assert main(["eval", *network]) == 0


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gan.resolution=48"], "gan.resolution=48 is not a power of two; accepted are 32, 64, 128, 256"),
        (["gan.resolution=16"], "gan.resolution=16 is too small"),
        (["gan.resolution=64"], "0 of them with both sides of at least gan.resolution=64 pixels"),
        (["data.fractions=[0.1,0.1,0.8]"], "accepted are 16 or more"),
        (["data.add=[gan:nowhere]"], "has no part in gan train, which learns from real images alone"),
        (["fid.split=val"], "fid.split=val has no part in gan train"),
        (["gan.branches=sound"], "gan.branches=sound is not one of the choices: both, image, frequency"),
        (["runtime.precision=fp16"], "runtime.precision=fp16 needs a GPU"),
    ],
)
def test_one_clear_message_for_a_mistake(inside: Trained, refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused(gan_arguments(inside.images, *arguments))
    assert not list(Path("outputs").glob("gan-train/*/*/checkpoint")), "a run that can't be resumed"


def test_one_image_and_no_reals_are_told(workdir: Path, refused: Refused) -> None:
    images = two_class_folder(workdir / "images", each=1)
    assert "too few images" in refused(gan_arguments(images))
    shutil.rmtree(images / "real")
    (images / "real").mkdir()
    assert "no usable real images" in refused(gan_arguments(images))


def test_images_of_mixed_sizes_are_cut_square_and_small_ones_left_out(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = two_class_folder(workdir / "images", each=40)
    rng = np.random.default_rng(0)
    for number, size in enumerate([(64, 40), (40, 90), (20, 50), (31, 31)] * 2):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(images / "real" / f"x{number}.png")
    assert main(gan_arguments(images)) == 0
    assert "smaller than 32 pixels are left out" in capsys.readouterr().out
    measured = pd.read_parquet(newest_run(workdir, "gan-train") / "predictions.parquet")
    assert measured["error"].isna().all()
    used = Manifest.load(workdir / "data" / "prepared" / "tiny-real-min32+gan-tiny").table
    assert used[["width", "height"]].min(axis=1).min() == 32


def test_a_full_disk_while_samples_are_written(
    inside: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["gan", "generate", "n=4", "name=full", "runtime.device=cpu"]) == 2
    told = capsys.readouterr().err
    assert "No space left on device while the samples were written; they are removed again" in told
    assert not list(newest_run(inside.folder, "gan-generate", "full").rglob("*.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data=[gan:x]", "accepted is a data set, and after it more of them and of GANs"),
        ("data=[demo,]", "accepted is a data set, and after it more of them and of GANs"),
        ("data=[nosuch,gan:x]", "data=nosuch is not one of the choices"),
    ],
)
def test_a_list_of_data_begins_with_a_data_set(workdir: Path, refused: Refused, words: str, message: str) -> None:
    assert message in refused(["train", words])


def test_a_list_of_data_stands_for_two_settings(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "data=[yonsei,demo,gan:outputs/a b/1,gan:c]"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)["data"]
    assert (shown["name"], shown["add"]) == ("yonsei", ["demo", "gan:outputs/a b/1", "gan:c"])


def test_no_gan_yet_is_told(workdir: Path, refused: Refused) -> None:
    for command in (["generate"], ["project", "x.jpg"]):
        (workdir / "x.jpg").touch()
        assert "run `dfd gan train` first" in refused(["gan", *command])
