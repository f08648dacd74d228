"""The loop on a real detector task of 40 small images: what is promised about resuming and keeping the best."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.config import AugmentConfig, TrainConfig
from dfd.data.dataset import Images
from dfd.data.transforms import Augmentation
from dfd.errors import UserError
from dfd.models.weights import build_pretrained
from dfd.runtime import Runtime, start
from dfd.training import checkpoint
from dfd.training.detector_task import DetectorTask
from dfd.training.loop import Progress, fit
from dfd.training.splits import Split
from tests.factories import tiny_preprocessing, tiny_train, two_class_folder

AUGMENT = AugmentConfig(name="x", flip=0.5, crop=0.5, noise=0.3)


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_class_folder(tmp_path_factory.mktemp("images"), each=20)


def split_of(folder: Path, augmentation: Augmentation | None = None) -> Split:
    paths = sorted(folder.rglob("*.png"))
    labels = np.array([int(path.parent.name == "fake") for path in paths])
    images = Images(paths, tiny_preprocessing(), 10**6, augmentation)
    return Split(
        images,
        images,
        labels,
        labels,
        np.arange(len(labels)),
        [path.name for path in paths],
        "data",
    )


def task_of(config: TrainConfig, folder: Path) -> tuple[DetectorTask, Runtime]:
    runtime = start(config.runtime, cpu_bf16=False)
    torch.manual_seed(config.seed)
    detector, _ = build_pretrained(config.model, tiny_preprocessing())
    return DetectorTask(config, detector, split_of(folder, Augmentation(AUGMENT)), split_of(folder), runtime), runtime


def train(config: TrainConfig, folder: Path, run: Path, kill_at: int | None = None) -> Progress:
    task, runtime = task_of(config, folder)
    step = task.step

    def step_or_die(batch: object, number: int) -> dict:
        if number == kill_at:
            raise Killed
        return step(batch, number)

    task.step = step_or_die  # type: ignore[method-assign]
    return fit(task, config.trainer, runtime, run, config.seed)


def same(one: Progress, other: Progress) -> bool:
    drop = ["images_per_s", "seconds"]
    return pd.DataFrame(one.history).drop(columns=drop).equals(pd.DataFrame(other.history).drop(columns=drop))


@pytest.mark.parametrize(
    "settings",
    [{}, {"ema": 0.9}, {"accumulate": 2, "optimizer": "sgd"}, {"checkpoint_seconds": 0.0, "balance": "sampler"}],
)
@pytest.mark.parametrize("kill_at", [3, 7])
def test_killed_and_resumed_equals_uninterrupted(folder: Path, tmp_path: Path, settings: dict, kill_at: int) -> None:
    config = tiny_train(epochs=2, **settings)
    config.model.dropout = 0.2
    whole = train(config, folder, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, folder, tmp_path / "parts", kill_at)
    resumed = train(config, folder, tmp_path / "parts")
    assert same(resumed, whole)
    best = [checkpoint.load_best(tmp_path / name) for name in ("whole", "parts")]
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_low_rank_additions_are_all_that_a_checkpoint_holds_of_a_backbone(
    folder: Path, tmp_path: Path, ema: float
) -> None:
    config = tiny_train(epochs=2, ema=ema)
    config.model.backbone, config.model.lora = "test_vit.r160_in1k", 2
    whole = train(config, folder, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, folder, tmp_path / "parts", 7)
    assert same(train(config, folder, tmp_path / "parts"), whole)
    best = checkpoint.load_best(tmp_path / "parts")
    assert {name.rpartition(".")[2] for name in best if "backbone" in name} == {"down", "up"}
    config.trainer.ema = 0.0  # else the average is measured, and not what was loaded
    task, _ = task_of(config, folder)
    task.load_weights(best)
    assert task.validate()["val_auroc"] == whole.best_score


def test_another_seed_gives_another_run(folder: Path, tmp_path: Path) -> None:
    first, second = tiny_train(epochs=1), tiny_train(epochs=1)
    second.seed = 1
    assert not same(train(first, folder, tmp_path / "a"), train(second, folder, tmp_path / "b"))


def test_a_run_learns_and_keeps_its_best_epoch(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=6, lr=3e-3)
    progress = train(config, folder, tmp_path)
    history = pd.read_csv(tmp_path / "train.csv")
    assert progress.best_score == history["val_auroc"].max() > 0.9
    assert progress.best_period == history["epoch"][history["val_auroc"].idxmax()]
    task, _ = task_of(config, folder)
    task.load_weights(checkpoint.load_best(tmp_path))
    assert task.validate()["val_auroc"] == progress.best_score


def test_max_steps_ends_within_an_epoch(folder: Path, tmp_path: Path) -> None:
    progress = train(tiny_train(epochs=9, max_steps=7), folder, tmp_path)
    assert [row["step"] for row in progress.history] == [5, 7]


def test_patience_stops_early_and_a_resumed_run_stays_stopped(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=30, patience=1, lr=0.0)
    config.model.freeze = "backbone"  # else the norms' running statistics change even without a learning rate
    progress = train(config, folder, tmp_path)
    assert progress.period == 2
    assert train(config, folder, tmp_path).period == 2


def test_accumulating_parts_equals_one_large_batch(folder: Path, tmp_path: Path) -> None:
    """With the norms fixed, the gradient of a batch is the mean of its parts' gradients."""
    histories = []
    for parts in (1, 4):
        config = tiny_train(epochs=1, accumulate=parts, optimizer="sgd", lr=0.01)
        config.model.freeze = "backbone"
        histories.append(train(config, folder, tmp_path / str(parts)).history[-1]["val_loss"])
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)


def test_a_frozen_backbone_does_not_move(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=1, lr=0.1)
    config.model.freeze = "backbone"
    task, runtime = task_of(config, folder)
    before = {key: value.clone() for key, value in task.detector.backbone.state_dict().items()}
    head = task.detector.head[1].weight.clone()
    fit(task, config.trainer, runtime, tmp_path, 0)
    assert all(torch.equal(value, before[key]) for key, value in task.detector.backbone.state_dict().items())
    assert not torch.equal(task.detector.head[1].weight, head)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the loss became nan.*lower trainer.lr"):
        train(tiny_train(epochs=4, lr=1e20, clip_grad=0, warmup=0), folder, tmp_path)


def test_a_checkpoint_never_holds_weights_after_a_loss_that_is_no_number(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=4, checkpoint_seconds=0.0)
    task, runtime = task_of(config, folder)
    step = task.step
    task.step = lambda batch, number: {"loss": float("nan")} if number == 3 else step(batch, number)  # type: ignore[method-assign]
    with pytest.raises(UserError, match="the loss became nan at step 4"):
        fit(task, config.trainer, runtime, tmp_path, 0)
    state = checkpoint.load_state(tmp_path)
    assert state is not None and state["progress"]["step"] == 3


def test_resuming_on_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=1)
    train(config, folder, tmp_path)
    state = checkpoint.load_state(tmp_path)
    assert state is not None
    state["task"]["data"] = "other"
    checkpoint.save_state(tmp_path, state)
    with pytest.raises(UserError, match="the data have changed since the run began"):
        train(config, folder, tmp_path)


def test_a_damaged_checkpoint_is_named(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=1)
    train(config, folder, tmp_path)
    (tmp_path / "checkpoint" / "last.pt").write_bytes(b"half")
    with pytest.raises(UserError, match="last.pt is damaged"):
        train(config, folder, tmp_path)


def test_class_weights_give_both_classes_the_same_say(folder: Path) -> None:
    config = tiny_train(balance="loss")
    task, _ = task_of(config, folder)
    assert task._class_weights.tolist() == [1.0, 1.0]


def test_the_average_of_a_frozen_detector_holds_the_head_alone(folder: Path, tmp_path: Path) -> None:
    config = tiny_train(epochs=1, ema=0.5)
    config.model.freeze = "backbone"
    task, runtime = task_of(config, folder)
    fit(task, config.trainer, runtime, tmp_path, 0)
    saved = checkpoint.load_state(tmp_path)
    assert saved is not None
    assert {name for name in saved["task"]["average"] if "module" in name} == {"module.1.weight", "module.1.bias"}
    assert set(checkpoint.load_best(tmp_path)) == {"1.weight", "1.bias"}
    assert not torch.equal(checkpoint.load_best(tmp_path)["1.weight"], task.detector.head[1].weight)


def test_an_output_that_is_no_number_ends_the_run_with_advice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="validation is no longer finite.*lower trainer.lr"):
        train(tiny_train(max_steps=1, lr=1e30, clip_grad=0, warmup=0), folder, tmp_path)


def test_another_run_is_never_continued_unasked(folder: Path, tmp_path: Path) -> None:
    checkpoint.begin(tmp_path, resume=False)
    train(tiny_train(epochs=1), folder, tmp_path)
    with pytest.raises(UserError, match="holds an unfinished run; add resume=true"):
        checkpoint.begin(tmp_path, resume=False)
    checkpoint.begin(tmp_path, resume=True)
