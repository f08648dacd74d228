"""What a person sees of a training run: a progress bar, a line a period (an epoch, say), and train.csv."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from dfd.errors import UserError
from dfd.files import replacing

if TYPE_CHECKING:
    from dfd.training.loop import Progress, Settings, Task

FILE = "train.csv"


class TrainingLog:
    """Shows and writes the progress of a run; `quiet` on all ranks but one."""

    def __init__(self, run: Path, task: "Task", config: "Settings", progress: "Progress", quiet: bool) -> None:
        self._run, self._task, self._progress, self._quiet = run, task, progress, quiet
        self._board = _board(run) if config.tensorboard and not quiet else None
        self._bar = tqdm(
            total=task.steps * task.batch_size,
            initial=progress.step * task.batch_size,
            desc="training",
            unit="img",
            unit_scale=True,
            disable=True if quiet else None,  # None: no bar in a log file
            dynamic_ncols=True,
        )
        self._batch_size = task.batch_size
        self._loss = ""

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board:
            self._board.close()

    def step(self) -> None:
        """Move the bar by one step."""
        self._bar.update(self._batch_size)

    def show_loss(self, loss: float) -> None:
        """The period's mean loss so far, and the last figure that decides which weights are the best, on the bar."""
        shown = {"loss": f"{loss:.4f}"}
        if self._progress.history:
            shown[self._task.monitor] = _short(self._progress.history[-1][self._task.monitor])
        self._bar.set_postfix(shown, refresh=False)

    def period(self) -> None:
        """Print the last line of the history and write it all to train.csv."""
        if self._quiet:
            return
        history, last = self._progress.history, self._progress.history[-1]
        write_history(self._run, history)
        period = self._task.period
        best = " (best so far)" if self._progress.best_period == last[period] else ""
        told = [key for key in self._task.told or last if key not in (period, "step")]
        figures = "  ".join(f"{key} {_short(last[key])}" for key in told)
        self._bar.write(f"{period} {last[period]:>3}  {figures}{self._left()}{best}")
        if self._board:
            for key, value in last.items():
                self._board.add_scalar(key, value, last["step"])

    def _left(self) -> str:
        """The time to the end at the speed so far, in words."""
        steps, done = self._task.steps, self._progress.step
        seconds = self._progress.seconds / done * (steps - done)
        return f"  {seconds / 60:.0f} min left" if seconds >= 60 else f"  {seconds:.0f} s left" if done < steps else ""


def write_history(run: Path, history: list[dict[str, float]]) -> None:
    """One row a period."""
    with replacing(run / FILE) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _board(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("tensorboard=true needs TensorBoard: pip install tensorboard") from None
    return SummaryWriter(str(run / "tensorboard"))
