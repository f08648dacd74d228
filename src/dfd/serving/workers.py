"""Processes for what strangers' files may do to a process: take for ever, take all memory, crash it.

Each worker has a pipe and a thread of its own, so that one that has to be killed takes nothing with it but its job.
"""

import asyncio
import logging
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cv2

from dfd import machine
from dfd.data.decode import UnusableImage
from dfd.serving.problems import Problem

log = logging.getLogger(__name__)

JOBS_PER_PROCESS = 1000  # then a new one takes its place: libraries for many formats leak now and then
START_SECONDS = 120.0  # imports, on a machine that is busy
OUT_OF_MEMORY_SCORE = "500"  # of 1000: where the system ends one process when memory is short, it is a worker
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
NO_MEMORY = "(-4:"  # OpenCV's own MemoryError (StsNoMem)
WARM = "warm"  # the job that does nothing

_starting = threading.Lock()

Handler = Callable[[Any], Any]


class TookTooLong(UnusableImage):
    """The job was stopped at its time limit."""


class Died(UnusableImage):
    """The job took its process with it."""


def prepare() -> None:
    """Start the process that workers are copied from; it imports while this one goes on. Calling it twice is harmless.

    Workers are not copies of this process: its threads could be in the middle of anything.
    """
    with _starting, _single_threaded():
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, "dfd.serving.work"])
        forkserver.ensure_running()


class Workers:
    """`count` processes that apply `handler`, which is picklable, to one job each at a time."""

    def __init__(self, count: int, handler: Handler, name: str) -> None:
        self._handler, self._name, self.count = handler, name, count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._own = threading.local()
        self._all: list[_Worker] = []
        self._closed = False

    async def start(self) -> None:
        """Start all processes now; otherwise the first jobs wait for it."""
        await asyncio.gather(*(self.run(WARM, START_SECONDS) for _ in range(self.count)))

    async def run(self, job: Any, seconds: float) -> Any:
        """What `handler` makes of a job. Raises what it raises of UnusableImage and Problem, TookTooLong, and Died."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job, seconds)

    def close(self) -> None:
        """End all processes, in the middle of a job too."""
        self._closed = True
        for worker in self._all:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.end()

    def _run(self, job: Any, seconds: float) -> Any:
        if self._closed:
            raise Died("came too late")
        worker = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = _Worker(self._handler, self._name)
            self._all.append(worker)
        return worker.run(job, seconds)


class _Worker:
    """One process after the other."""

    def __init__(self, handler: Handler, name: str) -> None:
        self._handler, self._name = handler, name
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._done = 0

    def run(self, job: Any, seconds: float) -> Any:
        if self._done >= JOBS_PER_PROCESS:
            self.end()
        try:
            pipe = self._handed(job)
            if not pipe.poll(seconds):
                raise TookTooLong(f"took longer than {seconds:g} s")
            kind, value = pipe.recv()
        except (EOFError, OSError):
            self.end()
            raise Died("broke the process that was to read it") from None
        except TookTooLong:
            self.end()
            raise
        self._done += 1
        if kind == "bug":
            raise RuntimeError(f"in a worker process:\n{value}")
        if kind == "refused":
            raise value
        return value

    def _handed(self, job: Any) -> Connection:
        """The pipe with the job in it. A process that ended while it had nothing to do is no fault of the job."""
        pipe = self._ready()
        try:
            pipe.send(job)
        except OSError:
            self.end()
            pipe = self._ready()
            pipe.send(job)
        return pipe

    def kill(self) -> None:
        """From any thread. The process may be stuck in code that hears no other signal; its own thread sees the end."""
        process = self._process
        if process is not None and process.is_alive():
            process.kill()

    def end(self) -> None:
        """Kill the process and forget it. For the worker's own thread, or once that has ended."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process, self._pipe, self._done = None, None, 0

    def _ready(self) -> Connection:
        if self._process is not None and not self._process.is_alive():
            log.warning(
                "a %s process ended with code %s; a new one takes its place", self._name, self._process.exitcode
            )
            self.end()
        if self._process is None or self._pipe is None:
            self._start()
        assert self._pipe is not None
        return self._pipe

    def _start(self) -> None:
        prepare()
        context = multiprocessing.get_context("forkserver")
        with _starting, _single_threaded():
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_work, args=(theirs, self._handler), name=self._name, daemon=True)
            self._process.start()
        theirs.close()
        self._pipe.send(WARM)
        if not self._pipe.poll(START_SECONDS):
            self.end()
            raise RuntimeError(f"a {self._name} process did not start within {START_SECONDS:g} s")
        self._pipe.recv()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes that start now compute on one thread: they are the parallelism."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection, handler: Handler) -> None:
    """Answer job after job until the pipe is closed."""
    import signal

    machine.follow_parent()
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # sent to all of a service at once; the server ends us when it is done
    machine.give_back_freed()
    machine.give_way()  # the server itself answers first when cores are short
    cv2.setNumThreads(0)
    _be_the_first_to_go()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(handler, job))


def _answer(handler: Handler, job: Any) -> tuple[str, Any]:
    try:
        return "done", None if isinstance(job, str) and job == WARM else handler(job)
    except (UnusableImage, Problem) as error:
        return "refused", error
    except MemoryError:
        return "refused", UnusableImage("does not fit into memory")
    except Exception as error:
        if isinstance(error, cv2.error) and NO_MEMORY in str(error):
            return "refused", UnusableImage("does not fit into memory")
        return "bug", traceback.format_exc()


def _be_the_first_to_go() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as handle:
            handle.write(OUT_OF_MEMORY_SCORE)
    except OSError:
        pass  # another system than Linux
