"""The same tasks with Ray Data (2.40 or later): actors that hold the networks, score tasks and write their parts.

Ray hands out places in the plan, not images. The parts go from the actors to the folder `out`, which all nodes have to
reach under the same path, as they have to reach the inputs and the bundle: a shared file system, or one machine.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfd import machine
from dfd.config import RuntimeConfig
from dfd.errors import UserError
from dfd.inference import graph as graphs
from dfd.inference.backends import engine_of
from dfd.inference.engine import Engine, TorchEngine
from dfd.models.bundle import load
from dfd.runtime import Runtime, start
from dfd.scoring.parts import Part
from dfd.scoring.plan import Plan
from dfd.scoring.scorer import Job, Scorer
from dfd.scoring.stream import Todo

OBJECT_STORE = 100 * 2**20  # bytes; only places and counts go through it
KNOCK_SECONDS = 10
MOST_BLOCKS = 2000  # Ray plans for each; tasks beyond that share them
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


@dataclass(frozen=True)
class Networks:
    """Where an actor finds the networks. `graph`: the folder of an export's graph; None: torch."""

    bundle: Path
    graph: Path | None
    runtime: RuntimeConfig

    def open(self) -> tuple[Engine, Runtime]:
        """Load them. Raises UserError."""
        bundle = load(self.bundle)
        runtime = start(self.runtime, cpu_bf16=bundle.cpu_bf16)
        if self.graph is None:
            return TorchEngine(bundle, runtime), runtime
        return engine_of(graphs.read(self.graph), bundle, runtime), runtime


class Actor:
    """Scores tasks on some node of the cluster, on one core and at most one GPU."""

    def __init__(self, networks: Networks, job: Job) -> None:
        self._networks, self._job = networks, job
        self._scorer: Scorer | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Takes the `place` of one task in the plan and how many `parts` of it are there; gives a `report` as JSON."""
        ((place, there),) = zip(batch["place"], batch["parts"], strict=True)
        written: list[Part] = []
        try:
            todo = Todo(Plan(self._job.out).read(int(place)), int(there))
            self._opened().run(iter([todo]), lambda chunk: None, written.append)
            report = {"parts": [asdict(part) for part in written], "shard_bytes": todo.task.size}
        except (UserError, OSError) as error:
            self._scorer = None
            report = {"error": str(error)}
        return {"report": np.array([json.dumps(report)], object)}

    def _opened(self) -> Scorer:
        if self._scorer is None:  # not when the actor is made: Ray would try again and again what fails there
            torch.set_num_threads(1)
            if self._job.start is not None:
                os.chdir(self._job.start)  # Ray starts actors in a folder of its own
            engine, runtime = self._networks.open()
            self._scorer = Scorer(self._job, engine, runtime, workers=1)
        return self._scorer


def score(
    networks: Networks,
    job: Job,
    todo: Iterator[tuple[int, Todo]],
    address: str | None,
    on_part: Callable[[Part, int], None],
) -> None:
    """Score tasks on the cluster at `address`, or on one that is started here with this machine's cores.

    `on_part` hears of each part, and of the bytes of the shard that it ends. Raises UserError if Ray is not installed,
    the cluster is not there, or an actor can't go on.
    """
    places = [{"place": place, "parts": one.parts} for place, one in todo]
    with _connected(address) as ray:
        _be_quiet(ray)
        on_gpus = networks.runtime.device == "cuda"
        actors = max(1, min(len(places), int(ray.cluster_resources().get("GPU" if on_gpus else "CPU", 1))))
        reports = ray.data.from_items(places, override_num_blocks=min(len(places), MOST_BLOCKS)).map_batches(
            Actor,
            fn_constructor_args=(networks, job),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            num_gpus=1 if on_gpus else None,
        )
        try:
            for row in reports.iter_rows():
                _take(json.loads(row["report"]), on_part)
        except ray.exceptions.RayError as error:
            raise UserError(f"engine=ray: an actor was lost ({_last_line(error)}); the same command goes on") from error


def _take(report: dict[str, Any], on_part: Callable[[Part, int], None]) -> None:
    if "error" in report:
        raise UserError(report["error"])
    for values in report["parts"]:
        part = Part(**values)
        on_part(part, report["shard_bytes"] if part.ends_task else 0)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("engine=ray: Ray is not installed; run pip install 'ray[data]'") from None
    own = {"num_cpus": machine.available_cores(), "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    settings = own if address is None else {"address": address}
    try:
        _knock(address)
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **settings)
    except (OSError, ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f"address={address}: no Ray cluster can be reached there: {_last_line(error)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raises OSError if nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, mark, port = (address or "").rpartition(":")
    if mark and "/" not in host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _be_quiet(ray: Any) -> None:
    """Ray Data would tell of its own progress; it also warns of what is as it should be."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _last_line(error: Exception) -> str:
    return [*filter(None, map(str.strip, str(error).splitlines())), type(error).__name__][-2:][0]
