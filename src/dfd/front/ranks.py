"""Several processes of one run, under torchrun: rank 0 owns the run folder, and speaks."""

import os

from dfd.front.arguments import quoted


def is_secondary_rank() -> bool:
    """Whether torchrun started this process beside rank 0, which alone writes the run folder."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and int(os.environ.get("RANK", "0")) > 0


def overrides_of_secondary_rank(folder: str) -> list[str]:
    """No run folder, saved config or log of its own."""
    return [
        f"hydra.run.dir={quoted(folder)}",
        f"hydra.sweep.dir={quoted(folder)}",
        "hydra.output_subdir=null",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
