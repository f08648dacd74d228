"""The one training loop. A task says what a step is; the loop counts, validates, keeps the best, logs and resumes.

Everything random depends on the seed and the step alone (see `dfd.data.dataset.TrainingOrder` and
`_seed_step`), so a run that was killed and resumed goes the way an uninterrupted one goes.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from dfd.errors import UserError
from dfd.runtime import Runtime, seed_from
from dfd.training import checkpoint
from dfd.training.log import TrainingLog

LOOK_EVERY = 10  # steps between looks at the loss: each look waits for the device


class Task(Protocol):
    """What is trained, in periods of `steps_per_period` steps with a validation after each.

    `monitor` names the figure of `validate` that decides which weights are the best: the highest, or the lowest where
    `lower_is_better`. `period` is the word for a period, `told` what its log line shows (None: all figures), and
    `advice` what to change when figures are no longer numbers.
    """

    monitor: str
    lower_is_better: bool
    period: str
    told: tuple[str, ...] | None
    advice: str
    batch_size: int
    steps: int
    steps_per_period: int

    def batches(self, start_step: int) -> Iterable[Any]:
        """What `step` takes, for each step from `start_step` on."""

    def step(self, batch: Any, step: int) -> dict[str, torch.Tensor | float]:
        """Forward, backward, optimiser. Returns figures to log, 'loss' among them."""

    def validate(self) -> dict[str, float]:
        """Figures on validation; the same on every rank."""

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that `validate` just measured."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises UserError if it belongs to other data."""


class Settings(Protocol):
    """The settings of the loop itself."""

    @property
    def patience(self) -> int:
        """Periods without a better figure after which it ends; 0: never."""

    @property
    def checkpoint_seconds(self) -> float:
        """Between checkpoints within a period."""

    @property
    def tensorboard(self) -> bool:
        """Also log for TensorBoard."""


@dataclass
class Progress:
    """How far a run is: saved in every checkpoint. `losses` holds the period's sum and number of steps."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=lambda: [0.0, 0.0])
    best_score: float = -math.inf  # the higher the better
    best_period: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def period(self) -> int:
        """Periods ended so far."""
        return len(self.history)


def fit(task: Task, config: Settings, runtime: Runtime, run: Path, seed: int) -> Progress:
    """Train `task` in the folder `run`, from its last checkpoint if there is one.

    Afterwards `checkpoint/best.safetensors` holds the weights of the best period on validation.
    Raises UserError when the loss is no longer a number.
    """
    progress = _restore(task, run)
    if progress.step >= task.steps or _out_of_patience(progress, config):
        return progress
    clock = _Clock(progress)
    with TrainingLog(run, task, config, progress, quiet=not runtime.is_main) as log:
        for batch in task.batches(progress.step):
            _seed_step(seed, progress.step, runtime.rank)
            figures = task.step(batch, progress.step)
            progress.step += 1
            progress.losses[0] += figures["loss"]  # type: ignore[assignment]  # stays on the device until looked at
            progress.losses[1] += 1
            log.step()
            if progress.step % LOOK_EVERY == 0:
                log.show_loss(_mean_loss(task, progress))
            if progress.step % task.steps_per_period == 0 or progress.step == task.steps:
                _end_period(task, runtime, run, progress, figures, clock)
                log.period()
                _save(task, runtime, run, progress, clock)
                if _out_of_patience(progress, config):
                    break
            elif clock.since_save() >= config.checkpoint_seconds:
                _save(task, runtime, run, progress, clock)
    return progress


def _end_period(
    task: Task, runtime: Runtime, run: Path, progress: Progress, figures: dict[str, Any], clock: "_Clock"
) -> None:
    """Validate, keep the weights if they are the best so far, and add a line to the history."""
    loss = float(
        np.mean(runtime.gather([_mean_loss(task, progress)]))
    )  # this waits for the device, so the rate is true
    rate = clock.steps_per_second(progress.step) * task.batch_size
    others = {key: float(value) for key, value in figures.items() if key != "loss"}
    figures = {"train_loss": loss, **others, **task.validate()}
    progress.losses = [0.0, 0.0]
    score = -figures[task.monitor] if task.lower_is_better else figures[task.monitor]
    if score > progress.best_score or progress.best_period == 0:
        progress.best_score, progress.best_period = score, progress.period + 1
        if runtime.is_main:
            checkpoint.save_best(run, task.weights())
    clock.stop(progress)
    progress.history.append(
        {
            task.period: progress.period + 1,
            "step": progress.step,
            **figures,
            "images_per_s": rate,
            "seconds": progress.seconds,
        }
    )
    clock.next_period(progress.step)


def _mean_loss(task: Task, progress: Progress) -> float:
    loss = float(progress.losses[0]) / max(1.0, progress.losses[1])
    if not math.isfinite(loss):
        raise UserError(f"the loss became {loss} at step {progress.step}; {task.advice}")
    return loss


def _out_of_patience(progress: Progress, config: Settings) -> bool:
    return 0 < config.patience <= progress.period - progress.best_period


def _restore(task: Task, run: Path) -> Progress:
    state = checkpoint.load_state(run)
    if state is None:
        return Progress()
    task.load_state_dict(state["task"])
    return Progress(**state["progress"])


def _save(task: Task, runtime: Runtime, run: Path, progress: Progress, clock: "_Clock") -> None:
    _mean_loss(task, progress)  # weights that are no numbers must not replace good ones
    clock.stop(progress)
    progress.losses[0] = float(progress.losses[0])
    if runtime.is_main:
        checkpoint.save_state(run, {"task": task.state_dict(), "progress": dict(vars(progress))})
    clock.saved()


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Dropout, drop-path and the like: a function of (seed, step, rank), so nothing random needs saving."""
    torch.manual_seed(seed_from(seed, step, rank))


class _Clock:
    """Training seconds over all the parts of a run, and the speed of the period at hand (validation left out)."""

    def __init__(self, progress: Progress) -> None:
        self._mark = self._saved = self._period = time.perf_counter()
        self._first_step = progress.step

    def stop(self, progress: Progress) -> None:
        now = time.perf_counter()
        progress.seconds += now - self._mark
        self._mark = now

    def steps_per_second(self, step: int) -> float:
        return (step - self._first_step) / (time.perf_counter() - self._period)

    def next_period(self, step: int) -> None:
        self._period, self._first_step = time.perf_counter(), step

    def since_save(self) -> float:
        return time.perf_counter() - self._saved

    def saved(self) -> None:
        self._saved = time.perf_counter()
