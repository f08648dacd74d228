from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dfd.config import AugmentConfig, DataConfig, RuntimeConfig, TrainConfig, TrainerConfig
from dfd.data.dataset import Features, Images
from dfd.errors import UserError
from dfd.models.detector import Detector, build
from dfd.runtime import start
from dfd.training import checkpoint
from dfd.training.logistic_task import OF_GRADIENT, LogisticTask, without_effect
from dfd.training.loop import Progress, fit
from dfd.training.splits import Split
from tests.factories import tiny_model, tiny_preprocessing

C = [0.01, 1.0, 100.0]


def split(seed: int, width: int, fingerprint: str = "print") -> Split:
    """Features of very different sizes, one of which tells the label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 2
    rows = rng.normal(size=(200, width)) * np.geomspace(0.01, 100, width) + np.linspace(-50, 50, width)
    rows[:, -1] += 150 * labels
    data = Features(torch.from_numpy(rows.astype(np.float32)))
    paths = [str(row) for row in range(200)]
    return Split(Images([], tiny_preprocessing(), 1), data, labels, labels, np.arange(200), paths, fingerprint)


def task_of(
    detector: Detector, fingerprint: str = "print", sets: Callable[..., Split] | None = None, **trainer: object
) -> LogisticTask:
    runtime_config = RuntimeConfig(device="cpu", precision="fp32", workers=0)
    config = TrainConfig(
        name="logistic",
        data=DataConfig(name="made"),
        model=tiny_model(freeze="backbone", units=detector.linear.out_features),
        augment=AugmentConfig(name="none"),
        trainer=TrainerConfig(solver="logistic", **{"c": C, **trainer}),  # type: ignore[arg-type]
        runtime=runtime_config,
    )
    runtime = start(runtime_config, cpu_bf16=False)
    made = sets or partial(split, fingerprint=fingerprint)
    train, val = (made(seed, detector.width) for seed in (0, 1))
    return LogisticTask(config, detector, train, val, runtime)


def trained(task: LogisticTask, run: Path) -> Progress:
    checkpoint.begin(run, resume=False)
    progress = fit(task, task._config.trainer, task._runtime, run, 0)
    task.load_weights(checkpoint.load_best(run))
    return progress


def test_the_head_is_the_logistic_regression_with_the_least_validation_loss(tmp_path: Path) -> None:
    detector = build(tiny_model(), tiny_preprocessing())
    progress = trained(task_of(detector), tmp_path)
    losses = [line["val_loss"] for line in progress.history]
    assert [line["c"] for line in progress.history] == C
    assert progress.best_period == 1 + int(np.argmin(losses))

    train, val = split(0, detector.width), split(1, detector.width)
    rows, others = (each.data.features.numpy().astype(np.float64) for each in (train, val))  # type: ignore[union-attr]
    mean, scale = rows.mean(0), rows.std(0) * np.sqrt(detector.width)
    best = LogisticRegression(C=C[progress.best_period - 1], max_iter=1000)
    best.fit((rows - mean) / scale, train.labels)
    logits = detector.classify(val.data.features).detach().numpy()  # type: ignore[union-attr]
    assert logits == pytest.approx(best.decision_function((others - mean) / scale), abs=0.02)


def test_a_run_that_was_cut_off_goes_on_with_the_next_fit(tmp_path: Path) -> None:
    whole = trained(task_of(build(tiny_model(), tiny_preprocessing())), tmp_path / "whole")
    run = tmp_path / "cut"
    checkpoint.begin(run, resume=False)
    first = task_of(build(tiny_model(), tiny_preprocessing()), max_steps=1)
    fit(first, first._config.trainer, first._runtime, run, 0)
    second = task_of(build(tiny_model(), tiny_preprocessing()))
    progress = fit(second, second._config.trainer, second._runtime, run, 0)
    assert [line["val_loss"] for line in progress.history] == [line["val_loss"] for line in whole.history]
    with pytest.raises(UserError, match="the data have changed since the run began"):
        other = task_of(build(tiny_model(), tiny_preprocessing()), fingerprint="other")
        fit(other, other._config.trainer, other._runtime, run, 0)


def kinds_that_disagree(seed: int, width: int) -> Split:
    """Two kinds of fakes, one on each side of the real images: no plane parts both from them."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(300) % 3
    rows = rng.normal(size=(300, width))
    rows[:, : width // 4] += 1.0 * (kinds == 1)[:, None] - 1.0 * (kinds == 2)[:, None]
    data = Features(torch.from_numpy(rows.astype(np.float32)))
    labels, paths = (kinds > 0).astype(np.int64), [str(row) for row in range(300)]
    return Split(Images([], tiny_preprocessing(), 1), data, labels, kinds, np.arange(300), paths, "print")


@pytest.mark.parametrize(("units", "least", "most"), [(1, 0.4, 0.6), (2, 0.99, 1.0)])
def test_a_unit_for_each_kind_tells_kinds_that_disagree(units: int, least: float, most: float) -> None:
    detector = build(tiny_model(units=units), tiny_preprocessing())
    task = task_of(detector, sets=kinds_that_disagree)
    task.step(100.0, 0)
    assert least <= task.validate()["val_auroc"] <= most


def test_several_units_give_the_probability_of_multinomial_regression() -> None:
    detector = build(tiny_model(units=2), tiny_preprocessing())
    task_of(detector, sets=kinds_that_disagree).step(1.0, 0)
    train = kinds_that_disagree(0, detector.width)
    rows = train.data.features.numpy().astype(np.float64)  # type: ignore[union-attr]
    scaled = (rows - rows.mean(0)) / (rows.std(0) * np.sqrt(detector.width))
    real = LogisticRegression(max_iter=1000).fit(scaled, train.kinds).predict_proba(scaled)[:, 0]
    prob = torch.sigmoid(detector.classify(train.data.features)).detach().numpy()  # type: ignore[union-attr]
    assert prob == pytest.approx(1 - real, abs=1e-3)


def crowds(seed: int, width: int) -> Split:
    """Real images that differ above all in half of their features, all at once; fakes have more of that, and a mark."""
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 2
    rows = rng.normal(size=(200, width))
    rows[:, : width // 2] += 5 * rng.normal(labels, 1)[:, None]
    rows[:, -1] += 40 * labels
    data = Features(torch.from_numpy(rows.astype(np.float32)))
    paths = [str(row) for row in range(200)]
    return Split(Images([], tiny_preprocessing(), 1), data, labels, labels, np.arange(200), paths, "print")


def test_a_head_does_not_look_along_the_main_directions_in_which_real_images_differ(tmp_path: Path) -> None:
    def moved(nuisances: float) -> tuple[float, float]:
        detector = build(tiny_model(), tiny_preprocessing())
        progress = trained(task_of(detector, sets=crowds, nuisances=nuisances, c=[1000.0]), tmp_path / str(nuisances))
        rows = crowds(1, detector.width).data.features[:10]  # type: ignore[union-attr]
        along = rows.clone()
        along[:, : detector.width // 2] += 5
        with torch.inference_mode():
            change = (detector.classify(along) - detector.classify(rows)).abs().mean()
        return float(change), progress.history[0]["val_auroc"]

    looking, blind = moved(0.0), moved(0.6)
    assert blind[0] < 0.5 * looking[0]
    assert blind[1] > 0.95


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({"solver": "logistic", "c": [3.0], "lr": 0.1, "patience": 2}, ["trainer.lr=0.1"]),
        ({"solver": "gradient", "c": [3.0], "lr": 0.1}, ["trainer.c=[3.0]"]),
        ({"solver": "logistic"}, []),
        ({"solver": "gradient", "epochs": 3}, []),
    ],
)
def test_settings_that_the_solver_ignores(settings: dict, idle: list[str]) -> None:
    assert without_effect(TrainerConfig(**settings)) == idle
    assert {item.name for item in fields(TrainerConfig)} > set(OF_GRADIENT)
