import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from dfd.data.decode import UnusableImage
from dfd.data.transforms import Joint
from dfd.serving import work
from dfd.serving.problems import Problem
from dfd.serving.uploads import File
from dfd.serving.work import Decode, Preparer
from dfd.serving.workers import Died, TookTooLong, Workers


def handler(job: tuple[str, Any]) -> Any:
    kind, value = job
    match kind:
        case "sleep":
            time.sleep(value)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "refuse":
            raise UnusableImage("not nice")
        case "problem":
            raise Problem(418, "short and stout", {"X-A": "b"}, {"results": [1]})
        case "bug":
            raise ZeroDivisionError("mine")
        case "memory":
            raise MemoryError
        case "opencv":
            raise cv2.error("OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate")
        case "pid":
            return os.getpid()
    return value


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2, handler, "test")
    yield made
    made.close()


def together(*jobs: Callable[[], Awaitable[Any]]) -> list[Any]:
    async def run() -> list[Any]:
        return await asyncio.gather(*(job() for job in jobs), return_exceptions=True)

    return asyncio.run(run())


def test_one_that_is_stuck_or_crashes_takes_no_other_with_it(workers: Workers) -> None:
    jobs = [("sleep", 30), ("die", 0), *(("value", number) for number in range(20)), ("die", 0), ("value", "last")]
    start = time.monotonic()
    found = together(*(lambda job=job: workers.run(job, 1.0) for job in jobs))
    assert isinstance(found[0], TookTooLong) and found[0].reason == "took longer than 1 s"
    assert isinstance(found[1], Died) and isinstance(found[22], Died)
    assert found[2:22] == list(range(20)) and found[23] == "last"
    assert time.monotonic() - start < 25


def test_reasons_come_through_and_bugs_are_ours(workers: Workers) -> None:
    kinds = ("refuse", "problem", "bug", "memory", "opencv")
    refused, problem, bug, memory, opencv = together(*(lambda kind=kind: workers.run((kind, 0), 30) for kind in kinds))
    assert isinstance(refused, UnusableImage) and refused.reason == "not nice"
    assert (problem.status, problem.detail, problem.headers, problem.more) == (
        418, "short and stout", {"X-A": "b"}, {"results": [1]},
    )  # fmt: skip
    assert isinstance(bug, RuntimeError) and "ZeroDivisionError: mine" in str(bug)
    assert memory.reason == opencv.reason == "does not fit into memory"


class Greedy:
    """In the place of the networks' form: takes twice the memory that a job may have."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return np.zeros(2 * work.LEAST_MEMORY, np.uint8)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_picture_that_takes_too_much_memory_is_refused_and_its_process_lives() -> None:
    made = Workers(1, Preparer(cast(Joint, Greedy()), 10_000, 1), "test")

    async def run() -> None:
        await made.start()
        (pid,) = (worker._process.pid for worker in made._all if worker._process)
        with pytest.raises(UnusableImage, match="does not fit into memory"):
            await made.run(
                Decode(File("a.png", cv2.imencode(".png", np.zeros((40, 50, 3), np.uint8))[1].tobytes())), 30
            )
        assert made._all[0]._process is not None and made._all[0]._process.pid == pid

    asyncio.run(run())
    made.close()


def test_larger_pictures_may_take_more_memory() -> None:
    assert work.memory_for(1000) == 2 * 2**30
    assert work.memory_for(64_000_000) == 12 * 4 * 64_000_000


def test_a_process_that_was_killed_while_idle_is_replaced(workers: Workers) -> None:
    (first,) = together(lambda: workers.run(("pid", 0), 30))
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{first}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    found = together(*(lambda: workers.run(("pid", 0), 30) for _ in range(4)))
    assert all(isinstance(pid, int) and pid != first for pid in found)


def test_closing_ends_a_process_in_the_middle_of_a_job() -> None:
    made = Workers(1, handler, "test")

    async def run() -> int:
        pid = await made.run(("pid", 0), 30)
        task = asyncio.create_task(made.run(("sleep", 60), 60))
        await asyncio.sleep(0.1)
        made.close()
        with pytest.raises(UnusableImage):
            await task
        return pid

    start = time.monotonic()
    pid = asyncio.run(run())
    assert time.monotonic() - start < 30
    assert not Path(f"/proc/{pid}").exists()


def test_a_signal_to_all_of_the_service_leaves_the_worker_to_the_server(workers: Workers) -> None:
    (pid,) = together(lambda: workers.run(("pid", 0), 30))

    async def run() -> Any:
        task = asyncio.create_task(workers.run(("sleep", 0.5), 30))
        await asyncio.sleep(0.1)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, number)
        return await task

    assert asyncio.run(run()) == 0.5


def test_they_end_when_the_server_is_killed() -> None:
    program = (
        "import asyncio, os, time; from dfd.serving.workers import Workers\n"
        "made = Workers(2, os.path.abspath, 'test'); asyncio.run(made.start())\n"
        "print(*(worker._process.pid for worker in made._all), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pids = server.stdout.readline().split()
        assert pids and all(Path(f"/proc/{pid}").exists() for pid in pids)
        server.kill()
        server.wait(20)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
