"""The GAN's training on a toy distribution: it learns, resumes exactly, steers its augmentation, tells of trouble."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dfd.config import AdaConfig, GanConfig, GanTrainConfig, RuntimeConfig
from dfd.errors import UserError
from dfd.evaluation.frechet import frechet_distance
from dfd.gan.generator import Generator
from dfd.gan.sampling import draw
from dfd.runtime import start
from dfd.training import checkpoint
from dfd.training.gan_task import GanTask
from dfd.training.loop import Progress, fit
from tests.shapes import shapes

CPU = torch.device("cpu")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


def config_of(ada: dict | None = None, **gan: object) -> GanTrainConfig:
    values = {
        "name": "toy",
        "resolution": 32,
        "latent": 16,
        "channel_base": 256,
        "channel_max": 8,
        "batch_size": 8,
        "kimg": 0.048,
        "tick_kimg": 0.016,
        "r1_interval": 4,
        "pl_interval": 2,
    }
    return GanTrainConfig(
        name="toy",
        gan=GanConfig(**{**values, **gan}),
        ada=AdaConfig(name="x", **(ada or {"mode": "fixed", "p": 0.3})),
        runtime=RuntimeConfig(device="cpu", precision="fp32", workers=0),
    )


def small(images: np.ndarray) -> np.ndarray:
    """Colours of 8 x 8 places [n, 192] in 0..1: enough to tell where what shape is."""
    n, side = images.shape[:2]
    return images.reshape(n, 8, side // 8, 8, side // 8, 3).mean(axis=(2, 4)).reshape(n, -1) / 255


def measure(generator: Generator, _: float) -> dict[str, float]:
    fake = small(np.concatenate(list(draw(generator, 256, 1, 1.0, CPU))))
    real = small(shapes(256, seed=1))
    spread = [np.sqrt(each.var(axis=0).sum()) for each in (fake, real)]
    return {"fd": frechet_distance(real, fake), "kid": 0.0, "diversity": float(spread[0] / spread[1])}


def task_of(config: GanTrainConfig, images: np.ndarray, measured: object = None) -> GanTask:
    runtime = start(config.runtime, cpu_bf16=False)
    torch.manual_seed(config.seed)
    return GanTask(config, images, "data", measured or (lambda *_: {"fd": 1.0, "kid": 0.0, "diversity": 1.0}), runtime)


def train(
    config: GanTrainConfig, run: Path, images: np.ndarray, kill_at: int | None = None
) -> tuple[GanTask, Progress]:
    task = task_of(config, images)
    step = task.step

    def step_or_die(batch: torch.Tensor, number: int) -> dict:
        if number == kill_at:
            raise Killed
        return step(batch, number)

    task.step = step_or_die  # type: ignore[method-assign]
    return task, fit(task, config.gan, start(config.runtime, cpu_bf16=False), run, config.seed)


@pytest.fixture(scope="module", params=[{"mode": "fixed", "p": 0.3}, {"mode": "adaptive", "interval": 3, "kimg": 0.05}])
def uninterrupted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[GanTrainConfig, Path, GanTask, Progress]:
    config, run = config_of(request.param, checkpoint_seconds=0.0), tmp_path_factory.mktemp("whole")
    return config, run, *train(config, run, shapes(20, seed=0))


@pytest.mark.parametrize("kill_at", [1, 3, 5])  # beside a penalty's step, in the middle of a tick, in the last one
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, kill_at: int, uninterrupted: tuple) -> None:
    images = shapes(20, seed=0)
    config, run, whole, progress = uninterrupted
    with pytest.raises(Killed):
        train(config, tmp_path / "cut", images, kill_at)
    resumed, again = train(config, tmp_path / "cut", images)
    for key, value in whole.weights().items():
        assert torch.equal(resumed.weights()[key], value), key
    best, same = (checkpoint.load_best(folder) for folder in (run, tmp_path / "cut"))
    assert all(torch.equal(best[key], same[key]) for key in best)
    drop = ["images_per_s", "seconds"]
    assert pd.DataFrame(progress.history).drop(columns=drop).equals(pd.DataFrame(again.history).drop(columns=drop))


def test_other_data_are_not_gone_on_with(tmp_path: Path) -> None:
    task = task_of(config_of(), shapes(20, seed=0))
    state = {**task.state_dict(), "data": "other"}
    with pytest.raises(UserError, match="the data have changed since the run began"):
        task.load_state_dict(state)


def test_the_generator_comes_nearer_to_the_real_images_and_augmentation_does_not_leak(tmp_path: Path) -> None:
    """Quarter turns, mirrors and colours are all augmented with, yet the lighter half of the samples stays on top."""
    images = shapes(300, seed=0)
    config = config_of(
        {"mode": "fixed", "p": 0.3}, channel_base=512, channel_max=32, batch_size=16, kimg=2.048, tick_kimg=2.048,
        r1_interval=16, pl_interval=16, lr=0.004,
    )  # fmt: skip
    task = task_of(config, images, measure)
    before = measure(task.average, 0)["fd"]
    progress = fit(task, config.gan, start(config.runtime, cpu_bf16=False), tmp_path, 0)
    assert progress.history[-1]["fd"] < before / 2
    sampled = np.concatenate(list(draw(task.average, 128, 2, 1.0, CPU))).astype(float)
    top, bottom = sampled[:, :6].mean(axis=(1, 2, 3)), sampled[:, -6:].mean(axis=(1, 2, 3))
    assert (top > bottom).mean() > 0.97


def test_a_tiny_data_set_raises_the_probability_of_augmentation(tmp_path: Path) -> None:
    """The discriminator soon knows 8 images by heart; r_t shows it, and p follows."""
    config = config_of(
        {"mode": "adaptive", "kimg": 2.0, "interval": 4, "target": 0.6}, kimg=0.8, tick_kimg=0.4, lr=0.004, mirror=False
    )
    _, progress = train(config, tmp_path, shapes(8, seed=0))
    assert progress.history[-1]["r_t"] > 0.6
    assert progress.history[-1]["p"] > progress.history[0]["p"] > 0


def test_every_figure_of_a_tick_is_there_and_finite(tmp_path: Path) -> None:
    _, progress = train(config_of(), tmp_path, shapes(20, seed=0))
    assert [row["kimg"] for row in progress.history] == [0.016, 0.032, 0.048]
    told = {"loss_d", "loss_g", "r1", "path_length", "gradient_d", "gradient_g", "real_sign", "fake_sign", "p"}
    for row in progress.history:
        assert told - {"r1"} <= row.keys()
    assert all(np.isfinite(row[name]) for row in progress.history for name in told & row.keys())


def stepped(**gan: object) -> GanTask:
    """After the first step, which is one of both penalties."""
    task = task_of(config_of(**gan), shapes(20, seed=0))
    torch.manual_seed(0)
    task.step(next(iter(task.batches(0))), 0)
    return task


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_penalties_act_on_the_networks_they_belong_to() -> None:
    usual = stepped(r1_gamma=1.0)
    stronger, none = stepped(r1_gamma=100.0), stepped(r1_gamma=0.0)
    assert not same_weights(usual.discriminator, none.discriminator)
    assert "r1" in usual._sums and "r1" not in none._sums
    # Adam's first steps differ in their signs alone, so the strength shows in the logged gradient.
    norms = [float(task._sums["penalty_gradient_d"]) for task in (usual, stronger)]
    assert norms[1] == pytest.approx(100 * norms[0], rel=1e-3)
    without = stepped(r1_gamma=1.0, pl_weight=0.0)
    assert not same_weights(usual.generator, without.generator)
    assert "path_length" not in without._sums


def test_penalties_come_at_their_intervals(tmp_path: Path) -> None:
    """Six steps: R1 at 0 and 4, path length at 0, 2 and 4; each multiplied by its interval."""
    task, _ = train(config_of(tick_kimg=1.0), tmp_path, shapes(20, seed=0))
    counted: dict[str, int] = {}
    again = task_of(config_of(tick_kimg=1.0), shapes(20, seed=0))
    for number, batch in zip(range(6), again.batches(0), strict=False):
        again.step(batch, number)
        counted = dict(again._counts)
    assert (counted["r1"], counted["path_length"], counted["loss_d"], counted["loss_g"]) == (2, 3, 6, 6)
    sparse, dense = stepped(r1_gamma=1.0, r1_interval=4), stepped(r1_gamma=1.0, r1_interval=8)
    ratio = float(dense._sums["penalty_gradient_d"] / sparse._sums["penalty_gradient_d"])
    assert ratio == pytest.approx(2, rel=0.2)  # the learning rate of the step before differs a little with the interval


def test_only_a_network_with_a_penalty_has_the_lazy_rate() -> None:
    task = stepped(r1_gamma=0.0, pl_weight=0.0, lr=0.01)
    assert {each.param_groups[0]["lr"] for each in task._optimizers.values()} == {0.01}
    task = stepped(r1_gamma=1.0, pl_weight=0.0, lr=0.01)
    assert task._optimizers["discriminator"].param_groups[0]["lr"] < 0.01


def test_the_average_follows_the_generator_at_its_half_life() -> None:
    task = task_of(config_of(ema_kimg=0.008, ema_rampup=0.0), shapes(20, seed=0))  # of one batch
    before = [parameter.clone() for parameter in task.average.parameters()]
    torch.manual_seed(0)
    task.step(next(iter(task.batches(0))), 0)
    for old, now, current in zip(before, task.average.parameters(), task.generator.parameters(), strict=True):
        assert torch.allclose(now, (old + current) / 2, atol=1e-6)


def test_half_of_the_images_are_mirrored(tmp_path: Path) -> None:
    images = shapes(16, seed=0)
    sides = {name: list(task_of(config_of(mirror=name), images).batches(0)) for name in (True, False)}
    shown = torch.cat(sides[True])
    plain = {image.tobytes() for image in images.transpose(0, 3, 1, 2).copy()}
    turned = {image.tobytes() for image in images.transpose(0, 3, 1, 2)[..., ::-1].copy()}
    found = [image.numpy().tobytes() for image in shown]
    assert all(one in plain or one in turned for one in found)
    assert 0.2 < np.mean([one in turned for one in found]) < 0.8
    assert all(image.numpy().tobytes() in plain for image in torch.cat(sides[False]))


def test_the_loss_turning_into_no_number_ends_the_run_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss became nan at step \d+; lower gan.lr, raise gan.r1_gamma"):
        train(config_of(lr=1e30, kimg=0.2, tick_kimg=0.1), tmp_path, shapes(20, seed=0))


def test_mode_collapse_is_said_once_the_samples_have_lost_their_variety(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diversity = iter([2.0, 0.7, 0.3])
    images = shapes(20, seed=0)
    config = config_of()
    task = task_of(config, images, lambda *_: {"fd": 1.0, "kid": 0.0, "diversity": next(diversity)})
    progress = fit(task, config.gan, start(config.runtime, cpu_bf16=False), tmp_path, 0)
    assert [row["collapsed"] for row in progress.history] == [0, 0, 1]
    assert capsys.readouterr().out.count("mode collapse: the samples' diversity fell from 1.00 to 0.30") == 1


def test_the_smallest_distance_is_kept(tmp_path: Path) -> None:
    distances = iter([5.0, 2.0, 3.0])
    config = config_of()
    task = task_of(config, shapes(20, seed=0), lambda *_: {"fd": next(distances), "kid": 0.0, "diversity": 1.0})
    progress = fit(task, config.gan, start(config.runtime, cpu_bf16=False), tmp_path, 0)
    assert progress.best_period == 2


def test_a_batch_that_ranks_cannot_share_is_told() -> None:
    from dfd.training.gan_task import _batch_size

    with pytest.raises(UserError, match="gan.batch_size=9: 9 images a step cannot be dealt out to 2 ranks"):
        _batch_size(config_of(batch_size=9).gan, 100, 2)
    assert _batch_size(config_of(batch_size=9).gan, 6, 2) == 6
