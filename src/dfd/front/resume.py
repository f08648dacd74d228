"""Finding the run folder that `resume=true` continues.

A run folder with a `checkpoint/` and no `metrics.json` is unfinished; one with `metrics.json` is finished.
A run is continued only under the settings it was started with, which Hydra saved in `.hydra/config.yaml`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dfd.errors import UserError
from dfd.front.settings import flatten

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two processes from one run folder
    fcntl = None  # type: ignore[assignment]

FREE_TO_CHANGE = ("resume", "budget", "runtime.")  # what may differ between the parts of a run


def register() -> None:
    """Let Hydra find the folder of each job by itself: see `overrides`."""
    OmegaConf.register_new_resolver("resumed_run", _resumed_run, replace=True)
    OmegaConf.register_new_resolver("resumed_subdir", _resumed_subdir, replace=True)


def overrides(multirun: bool) -> list[str]:
    """Overrides that make Hydra write into the run folders that are continued."""
    return ["hydra.sweep.subdir=${resumed_subdir:}" if multirun else "hydra.run.dir=${resumed_run:}"]


def is_finished(run: Path) -> bool:
    """Whether a training run came to its end."""
    return (run / "metrics.json").exists()


def can_resume(run: Path) -> bool:
    """Whether a training run was cut off and left a checkpoint."""
    return (run / "checkpoint").is_dir() and not is_finished(run)


def _resumed_run(*, _root_: DictConfig) -> str:
    """The newest unfinished run of these settings; UserError if there is none."""
    folder, wanted = _folder_of_runs(_root_), _task_settings(_root_)
    unfinished = [run for run in _runs(folder) if can_resume(run)]
    if not unfinished:
        raise UserError(f"resume=true: there is no unfinished run in {folder}")
    for run in unfinished:
        if not _differences(run, wanted):
            return str(run)
    raise UserError(
        f"resume=true: {unfinished[0]} was started with other settings; leave out resume=true, or set them back:\n"
        + "\n".join(f"  {line}" for line in _differences(unfinished[0], wanted))
    )


def _resumed_subdir(*, _root_: DictConfig) -> str:
    """The newest run of a multirun job's settings, finished or not; a new folder if there is none."""
    folder, wanted = _folder_of_runs(_root_), _task_settings(_root_)
    for run in _runs(folder):
        if (is_finished(run) or can_resume(run)) and not _differences(run, wanted):
            return f"{_root_.name}/{run.name}"
    return f"{_root_.name}/{Path(_root_.hydra.run.dir).name}-{_root_.hydra.job.num}"


def _folder_of_runs(root: DictConfig) -> Path:
    return Path(root.hydra.sweep.dir) / root.name


def _runs(folder: Path) -> list[Path]:
    """Run folders, newest first: they are named after the time."""
    return sorted((path.parents[1] for path in folder.glob("*/.hydra/config.yaml")), reverse=True)


def _task_settings(config: Any) -> dict[str, Any]:
    """All settings but Hydra's own and those that are free to change, by their dotted keys."""
    flat = flatten(OmegaConf.to_container(config, resolve=False))
    return {key: value for key, value in flat.items() if not key.startswith(("hydra.", *FREE_TO_CHANGE))}


def _differences(run: Path, wanted: dict[str, Any]) -> list[str]:
    """Lines that name the settings which differ from the run's saved ones."""
    saved = _task_settings(OmegaConf.load(run / ".hydra" / "config.yaml"))
    keys = sorted(key for key in saved | wanted if saved.get(key) != wanted.get(key))
    return [f"{key} was {saved.get(key)} and is now {wanted.get(key)}" for key in keys]


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Keep the run folder to this process; UserError if another one is at work in it."""
    with open(run / ".hydra" / "lock", "w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{run} is in use by another process that still runs") from error
        yield
