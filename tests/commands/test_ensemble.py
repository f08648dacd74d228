import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.cli import main
from dfd.commands import ensemble
from dfd.data.manifest import Manifest
from dfd.inference import cache
from dfd.models.bundle import EnsembleBundle, load
from tests.commands.conftest import Crossed, Refused, Trained, brief, newest_run, tiny_arguments
from tests.factories import two_class_folder

QUICK = ("evaluation.resamples=100", "runtime.device=cpu", "runtime.workers=0")
SMALL = ("strategy.components=[2,4]", "strategy.c=[1.0]", "strategy.leaves=[2]", "strategy.inner_folds=2")
STRATEGIES = ("averaging", "majority", "noisy_or", "weighted", "stacking_logreg", "stacking_pca_svc", "stacking_gbm")


@pytest.fixture
def work(crossed: Crossed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two cross-validated runs and their data."""
    for name in ("data", "outputs"):
        shutil.copytree(crossed.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def plain(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with two runs without folds."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        brief(patch)
        for seed in (0, 1):
            more = (f"name=run{seed}", f"seed={seed}", "data.fractions=[.4,.4,.2]")
            assert main(tiny_arguments(trained.images, *more)) == 0
    return folder


@pytest.fixture
def pair(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    shutil.copytree(plain, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def metrics_of(run: Path, prefix: str = "") -> dict:
    return json.loads((run / f"{prefix}metrics.json").read_text())


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a call that has to fail as a user's mistake, leaving no result behind."""
    capsys.readouterr()
    assert main(["ensemble", *QUICK, *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and len(error.strip().splitlines()) <= 4
    assert not list(Path("outputs").glob("ensemble/*/*/metrics.json"))
    assert not list(Path("outputs").glob("ensemble/*/*/bundle/bundle.yaml"))
    return error


def test_all_strategies_become_bundles_and_are_compared(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensemble", "-m", f"strategy={','.join(STRATEGIES)}", *QUICK, *SMALL]) == 0
    out = capsys.readouterr().out
    assert "member       out-of-fold AUROC" in out and "best member" in out
    table = out[out.rindex("out-of-fold  ") :] if "out-of-fold  " in out else out
    assert all(name in table for name in (*STRATEGIES, "tiny", "other"))
    manifest = Manifest.load(work / "data" / "prepared" / "tiny")
    for name in STRATEGIES:
        run = newest_run(work, "ensemble", name)
        bundle = load(run / "bundle")
        assert isinstance(bundle, EnsembleBundle) and len(bundle.members) == 2
        metrics = metrics_of(run, "oof_")
        assert (metrics["split"], metrics["n"]) == ("oof", 51)
        assert metrics["against_best_member"]["n"] == 51
        if name in ("averaging", "stacking_gbm"):
            continue  # combined as `weighted` and `stacking_logreg` are
        table = pd.read_parquet(run / "predictions.parquet")  # from cached features
        files = [str(manifest.file(path)) for path in table["path"]]
        assert main(["predict", *files, f"bundle={run}", f"output={name}.csv", *QUICK[1:]]) == 0
        again = pd.read_csv(f"{name}.csv").set_index("path")["logit"].loc[files]  # from the images themselves
        np.testing.assert_allclose(again, table["logit"], rtol=1e-4, atol=1e-4)
        if name != "stacking_pca_svc":
            continue
        assert main(["eval", f"bundle={run}", *QUICK]) == 0
        evaluated = metrics_of(newest_run(work, "eval", "bundle"))
        expected = metrics_of(run)
        for key in ("auroc", "balanced_accuracy", "brier"):  # from cached features, and from the images themselves
            value = evaluated["overall"][key]["value"]
            assert value == pytest.approx(expected["overall"][key]["value"], abs=1e-5), (name, key)
    image = next(Path(work / "data").parent.glob("data/prepared/tiny/manifest.json"))
    assert image.is_file()


def test_weights_that_are_not_one_a_member_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "strategy.by=optimised; it goes with" in error_of(["strategy=weighted", "strategy.weights=[1,0]"], capsys)
    given = ["strategy=weighted", "strategy.by=fixed", "strategy.weights=[1,0,0]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "_rows", lambda *_: pytest.fail("features were computed"))
        assert "takes 2 weights, one a member" in error_of(given, capsys)


def test_predict_takes_an_ensemble(work: Path, crossed: Crossed) -> None:
    assert main(["ensemble", *QUICK, "strategy=weighted", "strategy.by=fixed", "strategy.weights=[1,0]"]) == 0
    assert main(["predict", str(crossed.images), "output=ensemble.csv", "runtime.workers=0"]) == 0
    assert main(["predict", str(crossed.images), f"bundle={best_of(work)}", "output=one.csv", "runtime.workers=0"]) == 0
    ensemble, one = (pd.read_csv(name) for name in ("ensemble.csv", "one.csv"))
    member = load(best_of(work) / "bundle")
    expected = member.calibration.calibrated_logit(one["logit"].to_numpy())
    np.testing.assert_allclose(ensemble["logit"], expected, rtol=1e-4, atol=1e-4)


def best_of(work: Path) -> Path:
    """The member that comes first: the runs are ranked by out-of-fold AUROC."""
    runs = [newest_run(work, name=name) for name in ("tiny", "other")]
    return max(runs, key=lambda run: load(run / "bundle").metrics["auroc"])


def test_the_second_time_no_image_is_read(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["ensemble", *QUICK]) == 0
    monkeypatch.setattr(cache, "compute", lambda *_, **__: pytest.fail("images were read"))
    assert main(["ensemble", *QUICK, "strategy=stacking_pca_svc", *SMALL]) == 0


def test_members_without_folds_are_combined_on_validation(pair: Path, refused: Refused) -> None:
    for strategy in ("averaging", "stacking_pca_svc"):
        assert main(["ensemble", f"strategy={strategy}", *QUICK, *SMALL]) == 0
        metrics = metrics_of(newest_run(pair, "ensemble", strategy))
        assert (metrics["split"], metrics["n"]) == ("test", 12)
        plain = load(newest_run(pair, "ensemble", strategy) / "bundle")
        assert plain.metrics["split"] == "val"
    changed = ["augment=strong", "augment.val_copies=1", "name=changed"]
    assert main(["ensemble", "strategy=stacking_pca_svc", *changed, *QUICK, *SMALL]) == 0
    bundle = load(newest_run(pair, "ensemble", "changed") / "bundle")
    assert bundle.metrics["n"] == plain.metrics["n"]  # of the images as they are
    assert bundle.calibration != plain.calibration
    assert "changed copies of validation" in refused(["ensemble", "augment=light", *QUICK])


def test_members_of_other_splits_are_refused_with_the_reason(
    work: Path, crossed: Crossed, capsys: pytest.CaptureFixture[str]
) -> None:
    """The classic mistake: one member's training images are what another is tested on."""
    own = "outputs/train/tiny/" + newest_run(work).name
    assert main(tiny_arguments(crossed.images, "name=anew", "data.name=anew", "data.split_seed=5")) == 0
    other = str(newest_run(work, name="anew"))
    error = error_of([f"members=[{own},{other}]"], capsys)
    assert "trained on different data or splits: tiny on tiny (" in error
    assert "was trained or tuned on" in error and "test images of" in error


def test_members_with_and_without_folds_are_refused(
    work: Path, crossed: Crossed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tiny_arguments(crossed.images, "name=plain", "trainer.epochs=1")) == 0
    error = error_of([f"members=[{newest_run(work)},{newest_run(work, name='plain')}]"], capsys)
    assert "tiny in 3 folds and plain without folds" in error and "train them with the same cv.folds" in error


def test_other_folds_of_the_same_number_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = newest_run(work, name="other") / "oof_predictions.parquet"
    table = pd.read_parquet(path)
    table.assign(fold=(table["fold"] + 1) % 3).to_parquet(path)
    assert "are not those of" in error_of([], capsys)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def nan_logits(run: Path) -> None:
    table = pd.read_parquet(run / "oof_predictions.parquet")
    table.loc[:1, "logit"] = np.nan
    table.to_parquet(run / "oof_predictions.parquet")


def members(work: Path) -> list[str]:
    return [f"members=[{newest_run(work)},{newest_run(work, name='other')}]"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "does not exist; accepted are folders of finished runs"),
        (lambda run: shutil.rmtree(run / "bundle"), "no bundle.yaml there"),
        (lambda run: flip(next((run / "bundle").rglob("model.safetensors"))), "is damaged: its sha256"),
        (lambda run: flip(run / "bundle" / "bundle.yaml"), "does not fit the checksum"),
        (lambda run: (run / "oof_predictions.parquet").unlink(), "is missing: the out-of-fold predictions of other"),
        (lambda run: (run / "oof_predictions.parquet").write_bytes(b"no table"), "oof_predictions.parquet is damaged"),
        (nan_logits, "oof_predictions.parquet: 2 of 51 logits are no finite numbers"),
    ],
)
def test_a_damaged_member_is_named(work: Path, capsys: pytest.CaptureFixture[str], damage, message: str) -> None:
    arguments = members(work)
    damage(newest_run(work, name="other"))
    assert message in error_of(arguments, capsys)


def test_damaged_features_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features = newest_run(work, name="other") / "oof_features.npy"
    np.save(features, np.zeros((3, 4)))
    error = error_of(["strategy=stacking_pca_svc", *members(work)], capsys)
    assert "oof_features.npy has the shape (3, 4), but 51 rows are expected" in error
    features.unlink()
    assert "or choose a strategy on scores" in error_of(["strategy=stacking_pca_svc", *members(work)], capsys)


def test_too_few_members_are_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = newest_run(work)
    assert "an ensemble needs two members or more" in error_of([f"members=[{one}]"], capsys)
    assert "is named twice" in error_of([f"members=[{one},{one}/bundle]"], capsys)
    shutil.rmtree(work / "outputs" / "train" / "other")
    assert f"there is only {one.relative_to(work)}" in error_of([], capsys)
    shutil.rmtree(work / "outputs")
    assert "no finished runs in outputs/train" in error_of([], capsys)


def test_a_network_whose_output_is_no_number_gives_errors_not_scores(work: Path, crossed: Crossed) -> None:
    """A weight that is NaN in the bundle itself, as a diverged training would leave it."""
    from dfd.models import bundle as bundles

    run = newest_run(work)
    bundle = load(run / "bundle")
    with torch.no_grad():
        bundle.detectors[0].linear.weight.fill_(float("nan"))
    bundles.save(bundle, run / "bundle")
    assert main(["predict", str(crossed.images / "real" / "000.png"), f"bundle={run}", "output=x.csv"]) == 3
    table = pd.read_csv("x.csv")
    assert table["error"].tolist() == ["no finite score"] and table["verdict"].isna().all()


def test_what_an_ensemble_was_fitted_on_is_no_test_of_it(pair: Path, refused: Refused) -> None:
    assert main(["ensemble", *QUICK]) == 0
    ensemble = newest_run(pair, "ensemble", "averaging")
    assert "was trained or tuned on all" in refused(["eval", f"bundle={ensemble}", "split=val", *QUICK])
    assert "was fitted on validation" in refused(
        ["ensemble", f"members=[{ensemble},{newest_run(pair, name='run0')}]", *QUICK]
    )


def test_members_that_know_different_fakes_are_combined_on_data_that_hold_both(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """Each member's training images are in the train split of the data that are named, or not in them at all."""
    for number, name in enumerate(("one", "two")):
        images = two_class_folder(workdir / name, each=30, seed=number)
        assert main(tiny_arguments(images, f"name={name}", f"data.name={name}", "trainer.epochs=1")) == 0
    runs = [newest_run(workdir, name=name) for name in ("one", "two")]
    both = [f"members=[{runs[0]},{runs[1]}]", "strategy=noisy_or", *QUICK]
    assert "trained on different data" in refused(["ensemble", *both])
    data = ["data=folder", "data.name=one", f"data.source={workdir / 'one'}", "data.add=[two]"]
    assert main(["ensemble", *both, *data]) == 0
    made = newest_run(workdir, "ensemble", "noisy_or")
    bundle, metrics = load(made / "bundle"), metrics_of(made)
    assert (bundle.data["name"], metrics["data"], metrics["n"]) == ("one+two", "one+two", 18)
    assert metrics["against_best_member"]["n"] == 18
    assert all(bundle.has_seen(pd.read_parquet(run / "predictions.parquet")["sha256"]).sum() == 0 for run in runs)
    assert "was trained or tuned on all" in refused(["eval", f"bundle={made}", "split=val", *QUICK])
    assert main(["eval", f"bundle={made}", *QUICK]) == 0  # on its own data, which the bundle names
    again = metrics_of(newest_run(workdir, "eval", "bundle"))
    assert again["fingerprint"] == metrics["fingerprint"]
    assert again["overall"]["auroc"]["value"] == pytest.approx(metrics["overall"]["auroc"]["value"], abs=1e-5)
    monkeypatch.setattr(cache, "compute", lambda *_, **__: pytest.fail("images were read"))
    assert main(["ensemble", *both, *data]) == 0
    assert "one was trained on one under other settings" in refused(["ensemble", *both, *data, "data.split_seed=5"])
    elsewhere = [*data, "data.name=anew", "data.split_seed=5"]
    told = refused(["ensemble", *both, *elsewhere])
    assert "one was trained or tuned on" in told and "validation and test images of anew+two" in told
    assert "members that are named" in refused(["ensemble", *data, *QUICK])


def test_changed_copies_have_no_part_in_folds(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no part in a cross-validation" in error_of(["augment=strong"], capsys)


def test_runs_without_a_test_split_or_folds_are_refused_before_any_work(
    trained: Trained, workdir: Path, refused: Refused
) -> None:
    assert "has no images in split 'test'" in refused(tiny_arguments(trained.images, "data.fractions=[.6,.4,0]"))
    assert not list(Path("outputs").glob("train/*/*/bundle"))


def test_features_of_a_refitted_network_are_not_stacked(
    trained: Trained, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        more = ("cv.folds=2", "cv.final=refit", "trainer.epochs=1", f"name=run{seed}", f"seed={seed}")
        assert main(tiny_arguments(trained.images, *more)) == 0
    assert "cv.final=refit" in error_of(["strategy=stacking_pca_svc"], capsys)
    assert main(["ensemble", *QUICK]) == 0


def test_a_majoritys_out_of_fold_verdicts_are_the_majoritys(work: Path) -> None:
    assert main(["ensemble", *QUICK, "strategy=majority"]) == 0
    table = pd.read_parquet(newest_run(work, "ensemble", "majority") / "oof_predictions.parquet")
    assert ((table["prob"] >= table["threshold"]) == (table["logit"] >= 0)).all()
