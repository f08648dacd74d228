"""Finding the run folder that `resume=true` continues.

A run that came to its end is marked; one with a `checkpoint/` and no mark was cut off and can go on.
A run is continued only under the settings it was started with, which Hydra saved in `.hydra/config.yaml`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dfd.errors import UserError
from dfd.front.arguments import Request
from dfd.front.settings import flatten

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two processes from one run folder
    fcntl = None  # type: ignore[assignment]

SAVED = ".hydra"  # where Hydra saves the settings, and our notes are
SETTINGS = f"{SAVED}/config.yaml"
FREE_TO_CHANGE = ("resume", "budget", "runtime.")  # what may differ between the parts of a run


def register(named: Path | None = None) -> None:
    """Let Hydra find the folder of each job by itself: see `overrides`. `named` is the one folder that it may be."""
    OmegaConf.register_new_resolver("resumed_run", partial(_resumed_run, named), replace=True)
    OmegaConf.register_new_resolver("resumed_step", _resumed_step, replace=True)
    OmegaConf.register_new_resolver("resumed_subdir", _resumed_subdir, replace=True)


def overrides(request: Request) -> list[str]:
    """Overrides that make Hydra write into the run folders that are continued."""
    if request.multirun:
        return ["hydra.sweep.subdir=${resumed_subdir:}"]
    if request.goes_on:  # the time is given, since Hydra may ask for the folder more than once
        return [f"hydra.run.dir=${{resumed_step:{datetime.now():%Y-%m-%d_%H-%M-%S_%f}}}"]
    return ["hydra.run.dir=${resumed_run:}"]


def is_done(run: Path) -> bool:
    """Whether a run came to its end."""
    return (run / SAVED / "done").exists()


def can_resume(run: Path) -> bool:
    """Whether a training run was cut off and left a checkpoint, and the settings that it is found again by."""
    return (run / "checkpoint").is_dir() and (run / SETTINGS).exists() and not is_done(run)


def is_of_multirun(run: Path) -> bool:
    """Whether a run was one of the jobs of a multirun."""
    saved = run / SAVED / "hydra.yaml"
    return saved.exists() and OmegaConf.load(saved).hydra.mode == "MULTIRUN"


def mark_done(run: Path) -> None:
    """Note that a run has come to its end."""
    _note(run, "done").touch()


def _resumed_run(named: Path | None, *, _root_: DictConfig) -> str:
    """The newest unfinished run of these settings; UserError if there is none."""
    folder, wanted = named or _folder_of_runs(_root_), _task_settings(_root_)
    unfinished = [run for run in ([named] if named else _runs(folder)) if can_resume(run)]
    if not unfinished:
        raise UserError(f"resume=true: there is no unfinished run in {folder}")
    for run in unfinished:
        if not _differences(run, wanted):
            return str(run)
    raise UserError(
        f"resume=true: {unfinished[0]} was started with other settings; leave out resume=true, or set them back:\n"
        + "\n".join(f"  {line}" for line in _differences(unfinished[0], wanted))
    )


def _resumed_step(time: str, *, _root_: DictConfig) -> str:
    """The newest run of a step's settings, finished or not; a new folder if there is none."""
    return str(_newest_alike(_root_) or _folder_of_runs(_root_) / time)


def _resumed_subdir(*, _root_: DictConfig) -> str:
    """The same of a multirun job."""
    run = _newest_alike(_root_)
    return f"{_root_.name}/{run.name if run else f'{Path(_root_.hydra.run.dir).name}-{_root_.hydra.job.num}'}"


def _newest_alike(root: DictConfig) -> Path | None:
    wanted = _task_settings(root)
    left = (run for run in _runs(_folder_of_runs(root)) if is_done(run) or can_resume(run))
    return next((run for run in left if not _differences(run, wanted)), None)


def _folder_of_runs(root: DictConfig) -> Path:
    return Path(root.hydra.sweep.dir) / root.name


def _runs(folder: Path) -> list[Path]:
    """Run folders, newest first: they are named after the time."""
    return sorted((path.parents[1] for path in folder.glob(f"*/{SETTINGS}")), reverse=True)


def _task_settings(config: Any) -> dict[str, Any]:
    """All settings but Hydra's own and those that are free to change, by their dotted keys."""
    flat = flatten(OmegaConf.to_container(config, resolve=False))
    return {key: value for key, value in flat.items() if not key.startswith(("hydra.", *FREE_TO_CHANGE))}


def _differences(run: Path, wanted: dict[str, Any]) -> list[str]:
    """Lines that name the settings which differ from the run's saved ones."""
    saved = _task_settings(OmegaConf.load(run / SETTINGS))
    keys = sorted(key for key in saved | wanted if saved.get(key) != wanted.get(key))
    return [f"{key} was {saved.get(key)} and is now {wanted.get(key)}" for key in keys]


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Keep the run folder to this process; UserError if another one is at work in it."""
    with open(_note(run, "lock"), "w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{run} is in use by another process that still runs") from error
        yield


def _note(run: Path, name: str) -> Path:
    (run / SAVED).mkdir(exist_ok=True)  # with hydra.output_subdir=null nothing has made it
    return run / SAVED / name
