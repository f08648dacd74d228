"""Several processes of one run, under torchrun: rank 0 owns the run folder, and speaks."""

import os

from dfd.config.typed import written
from dfd.errors import UserError


def world() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_secondary_rank() -> bool:
    """Whether torchrun started this process beside rank 0, which alone writes the run folder."""
    return world() > 1 and int(os.environ.get("RANK", "0")) > 0


def refuse_several(what: str, instead: str) -> None:
    """UserError, on all ranks alike, if there are several: `what` would take them to different jobs or run folders."""
    if world() > 1:
        raise UserError(f"{what} is for one process, and {world()} were started; leave out torchrun, or {instead}")


def overrides_of_secondary_rank(folder: str) -> list[str]:
    """No run folder, saved config or log of its own."""
    return [
        f"hydra.run.dir={written(folder)}",
        f"hydra.sweep.dir={written(folder)}",
        "hydra.output_subdir=null",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
