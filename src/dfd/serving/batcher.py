"""Micro-batches: images of different requests share a forward pass, and none waits for others longer than agreed."""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dfd import machine

Input = TypeVar("Input")
Output = TypeVar("Output")

log = logging.getLogger(__name__)

HUNG_SECONDS = 60.0  # a batch that takes longer will not end
FAILURES = 5  # batches in a row after which it is not the images' fault: a CUDA error, for one, stays
ANSWER_SECONDS = 120.0  # for one input, with those before it
CLOSE_SECONDS = 5.0


@dataclass
class _Item(Generic[Input, Output]):
    value: Input
    answer: "asyncio.Future[Output]"
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Input, Output]):
    """One thread that applies `run` to up to `batch_size` inputs at once.

    An input waits up to `wait` seconds for others, and only while `on_the_way()` says that there will be some: a single
    user never waits. `observe(size, seconds)` is told of each batch.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Input]], Sequence[Output]],
        batch_size: int,
        wait: float,
        on_the_way: Callable[[], int],
        observe: Callable[[int, float], None],
    ) -> None:
        self._run, self._batch_size, self._wait = run, batch_size, wait
        self._on_the_way, self._observe = on_the_way, observe
        self._queue: queue.SimpleQueue[_Item[Input, Output] | None] = queue.SimpleQueue()
        self._failures = 0  # in a row
        self._busy_since: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """End after the batches that are waiting; one without an end is left behind."""
        self._closing = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(CLOSE_SECONDS)

    def is_well(self) -> bool:
        """False if nobody can expect an answer: the thread has ended, its batch will not, or too many have failed."""
        since = self._busy_since
        ended = self._thread.ident is not None and not self._thread.is_alive() and not self._closing
        hung = since is not None and time.monotonic() - since > HUNG_SECONDS
        return not ended and not hung and self._failures < FAILURES

    @property
    def waiting(self) -> int:
        """Inputs in the queue."""
        return self._queue.qsize()

    async def apply(self, value: Input) -> Output:
        """What `run` makes of one input. Raises what it raises, and TimeoutError after ANSWER_SECONDS."""
        item: _Item[Input, Output] = _Item(value, asyncio.get_running_loop().create_future())
        self._queue.put(item)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await item.answer

    def _work(self) -> None:
        machine.give_way()  # an answer to a health check doesn't wait for a batch
        while (first := self._queue.get()) is not None:
            items, go_on = self._gather(first)
            _deliver(items, self._outputs(items))
            if not go_on:
                return

    def _outputs(self, items: Sequence[_Item[Input, Output]]) -> Sequence[Output] | Exception:
        """One pass, and its figures. Raises nothing: the thread is to go on."""
        self._busy_since = start = time.monotonic()
        try:
            outputs: Sequence[Output] | Exception = self._run([item.value for item in items])
            self._failures = 0
        except Exception as error:
            log.exception("a batch of %d images failed", len(items))
            self._failures += 1
            outputs = error
        finally:
            self._busy_since = None
        try:
            self._observe(len(items), time.monotonic() - start)
        except Exception:
            log.exception("the figures of a batch were lost")
        return outputs

    def _gather(self, first: _Item[Input, Output]) -> tuple[list[_Item[Input, Output]], bool]:
        """The first and those that come in time; False: the end was asked for meanwhile."""
        items, deadline = [first], first.since + self._wait
        while len(items) < self._batch_size:
            try:
                item = self._next(deadline)
            except queue.Empty:
                break
            if item is None:
                return items, False
            items.append(item)
        return items, True

    def _next(self, deadline: float) -> _Item[Input, Output] | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            left = deadline - time.monotonic()
            if left <= 0 or not self._on_the_way():
                raise
            return self._queue.get(timeout=left)


def _deliver(items: Sequence[_Item[Input, Output]], outputs: Sequence[Output] | Exception) -> None:
    def set_all() -> None:
        for number, item in enumerate(items):
            if item.answer.done():  # its request was given up
                continue
            if isinstance(outputs, Exception):
                item.answer.set_exception(outputs)
            else:
                item.answer.set_result(outputs[number])

    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
        items[0].answer.get_loop().call_soon_threadsafe(set_all)  # one call a batch, not one an image
