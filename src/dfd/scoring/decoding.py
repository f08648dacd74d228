"""Images become network inputs in worker processes that may die of one, and must not take the run with them.

The workers write pixels into memory that they share with the process of the network, so that no pixel is copied on its
way. This memory is a row of slots, each for one batch.
"""

import errno
import multiprocessing
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import TimeoutError as OutOfTime
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dfd import machine
from dfd.data.decode import UnusableImage, read_image
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.scoring.item import Content, Problem

SLOTS = 2  # a worker: one that it fills, and one that waits
BATCH_SECONDS = 300  # after that a batch is tried again image by image,
IMAGE_SECONDS = 60  # each of which may take this long
OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)
ANY_SIDE = 64  # pixels of an image whose inputs have the shape of all inputs


@dataclass(frozen=True)
class Decoded:
    """Inputs uint8 [k, 3, H, W] of the images that could be used, and for each image the reason why not, or None."""

    inputs: torch.Tensor
    reasons: list[str | None]


class Decoder(Protocol):
    """Decodes batches in the order in which they are put in."""

    ahead: int  # batches that may be under way

    def put(self, contents: Sequence[Content]) -> None:
        """Begin with a batch."""

    def take(self) -> Decoded:
        """The oldest batch. Its inputs are valid until the next call of `put`."""

    def close(self) -> None:
        """End the workers."""


def decoder_of(joint: Joint, max_pixels: int, batch_size: int, workers: int) -> Decoder:
    """A decoder with so many processes; 0: in this one."""
    worker = Worker(joint, max_pixels)
    return Pool(worker, batch_size, workers) if workers else Here(worker, batch_size)


@dataclass(frozen=True)
class Worker:
    """From contents to pixels."""

    joint: Joint
    max_pixels: int

    def shape(self) -> tuple[int, ...]:
        """Of the input of one image, channels last."""
        return self.joint(np.zeros((ANY_SIDE, ANY_SIDE, 3), np.uint8)).shape

    def fill(self, target: NDArray[np.uint8], contents: Sequence[Content]) -> list[str | None]:
        """Write the inputs of the usable images into uint8 [n, H, W, 3], without gaps; returns the reasons."""
        reasons: list[str | None] = []
        for content in contents:
            reason, image = self._read(content)
            if image is not None:
                target[reasons.count(None)] = image
            reasons.append(reason)
        return reasons

    def _read(self, content: Content) -> tuple[str | None, np.ndarray | None]:
        if isinstance(content, Problem):
            return content.reason, None
        try:
            return None, self.joint(read_image(Path(content) if isinstance(content, str) else content, self.max_pixels))
        except UnusableImage as error:
            if isinstance(content, str):
                _prove_readable(content, error.__context__)
            return error.reason, None
        except MemoryError:
            return "does not fit into memory", None


def _prove_readable(path: str, cause: BaseException | None) -> None:
    """Raise UserError if it is the disk's fault, not the file's, that a file can't be read."""
    if not isinstance(cause, OSError) or cause.errno is None:  # Pillow's own, of damage, have no number
        return
    if cause.errno == errno.ENOENT:
        if _is_empty(os.path.dirname(path) or "."):
            raise UserError(
                f"{path} can't be read: its folder is gone or empty. Mount it again if it was a drive; the same "
                "command goes on"
            )
    elif cause.errno not in OF_THE_FILE:
        raise UserError(
            f"{path} can't be read: {cause.strerror}; where the disk or network drive is well again, the same command "
            "goes on"
        )


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True
    except OSError:
        return False


class Here:
    """Decodes in this process."""

    ahead = 0

    def __init__(self, worker: Worker, batch_size: int) -> None:
        self._worker = worker
        self._slot = np.zeros((batch_size, *worker.shape()), np.uint8)
        self._contents: Sequence[Content] = ()

    def put(self, contents: Sequence[Content]) -> None:
        """See `Decoder`."""
        self._contents = contents

    def take(self) -> Decoded:
        """See `Decoder`."""
        reasons = self._worker.fill(self._slot, self._contents)
        return Decoded(_inputs(self._slot[: reasons.count(None)]), reasons)

    def close(self) -> None:
        """See `Decoder`."""


class Pool:
    """Decodes in processes. An image that one of them dies of, or that takes too long, is unusable."""

    def __init__(self, worker: Worker, batch_size: int, workers: int) -> None:
        shape = (batch_size, *worker.shape())
        self.ahead = SLOTS * workers
        self._free = deque(range(self.ahead + 1))  # one more: that which the network reads
        memory = RawArray("B", len(self._free) * int(np.prod(shape)))
        self._slots = _view(memory, shape)
        self._waiting: deque[tuple[int, Sequence[Content], Any]] = deque()
        self._read: int | None = None
        self._new_pool = partial(_pool, workers, (memory, shape, worker))
        self._pool = self._new_pool()
        self._prove()

    def put(self, contents: Sequence[Content]) -> None:
        """See `Decoder`."""
        if self._read is not None:
            self._free.append(self._read)
            self._read = None
        slot = self._free.popleft()
        self._waiting.append((slot, contents, self._submit(slot, 0, contents, BATCH_SECONDS)))

    def take(self) -> Decoded:
        """See `Decoder`."""
        slot, contents, future = self._waiting.popleft()
        reasons = self._result(future)
        if reasons is None:
            reasons = self._one_by_one(slot, contents)
        if self._read is not None:
            self._free.append(self._read)
        self._read = slot
        return Decoded(_inputs(self._slots[slot, : reasons.count(None)]), reasons)

    def close(self) -> None:
        """See `Decoder`."""
        self._pool.stop()
        self._pool.join()

    def _one_by_one(self, slot: int, contents: Sequence[Content]) -> list[str | None]:
        reasons: list[str | None] = []
        for content in contents:
            result = self._result(self._submit(slot, reasons.count(None), [content], IMAGE_SECONDS))
            if result is None:
                self._prove()
            reasons += result or [f"crashes the decoder, or takes it more than {IMAGE_SECONDS} s"]
        return reasons

    def _prove(self) -> None:
        """Raises UserError if workers can't even work off nothing: it is not the images then."""
        if self._result(self._submit(0, 0, [], BATCH_SECONDS)) is None:
            raise UserError(
                "the processes that decode images are ended from outside, for lack of memory perhaps; make room, or "
                "choose fewer with runtime.workers"
            )

    def _submit(self, slot: int, at: int, contents: Sequence[Content], seconds: int) -> Any:
        try:
            return self._pool.schedule(_fill, args=(slot, at, contents), timeout=seconds)
        except RuntimeError:  # all workers were lost at once, and the pool with them
            self.close()
            self._pool = self._new_pool()
            return self._pool.schedule(_fill, args=(slot, at, contents), timeout=seconds)

    def _result(self, future: Any) -> list[str | None] | None:
        """None if the worker died or was ended for taking too long."""
        from pebble import ProcessExpired

        try:
            return list(future.result())
        except (ProcessExpired, OutOfTime, BrokenProcessPool):
            return None


def _pool(workers: int, memory: tuple[Any, tuple[int, ...], Worker]) -> Any:
    from pebble import ProcessPool

    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])  # imported once; workers are copies of that process
    return ProcessPool(workers, initializer=_start, initargs=memory, context=context)


def _view(memory: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(memory, np.uint8).reshape(-1, *shape)


def _inputs(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[k, H, W, 3] as a batch with its channels first: a view, which is channels-last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


# In the worker processes

_slots: NDArray[np.uint8]
_worker: Worker


def _start(memory: Any, shape: tuple[int, ...], worker: Worker) -> None:
    global _slots, _worker
    _slots, _worker = _view(memory, shape), worker
    machine.follow_parent()
    machine.give_back_freed()


def _fill(slot: int, at: int, contents: Sequence[Content]) -> list[str | None]:
    return _worker.fill(_slots[slot, at:], contents)
