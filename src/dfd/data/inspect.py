"""What there is to know about each image file: its hashes, size and format, read in parallel.

Neither this module nor what it imports may import torch or pandas: every worker process would load them.
"""

import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from dfd.data.decode import UnusableImage, open_image, read_bytes, to_rgb
from dfd.machine import available_cores, follow_parent

HASH_SIZE = 16  # 16 x 16 = 256 bits
MIN_CONTRAST = 2.0  # deviation of the grey values of 0..255, below which a picture counts as flat
CHUNK = 32  # files a task
SERIAL = 128  # so few files are read before worker processes have started
# Pixels and bytes that all workers together may hold without asking; see `_turn`.
FREE_PIXELS = 32_000_000
FREE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Record:
    """One image file. With an `error` the rest is empty."""

    sha256: str = ""  # of the file's bytes
    phash: str = ""  # 64 hexadecimal digits; empty for a flat picture, which has no structure to compare
    width: int = 0  # as displayed, in pixels
    height: int = 0
    format: str = ""  # Pillow's name of it, such as JPEG
    bytes: int = 0
    error: str = ""


def describe(path: Path, max_pixels: int, *, share: int = 1, lock: AbstractContextManager[Any] | None = None) -> Record:
    """Read and decode one file; never raises for what the file holds.

    `share` is the number of processes that do so at once, `lock` (recursive) what they have in common.
    """
    try:
        with _turn(_size(path) > FREE_BYTES // share, lock):
            data = read_bytes(path)
            image = open_image(data, max_pixels)
            kind = image.format or ""
            with _turn(image.width * image.height > FREE_PIXELS // share, lock):
                pixels = to_rgb(image)
                del image
                phash = perceptual_hash(pixels)
            height, width = pixels.shape[:2]
            return Record(hashlib.sha256(data).hexdigest(), phash, width, height, kind, len(data))
    except UnusableImage as unusable:
        return Record(error=unusable.reason)
    except MemoryError:
        return Record(error="does not fit into memory")


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """ImageHash's pHash of RGB [H, W, 3] as 64 hexadecimal digits; '' if there is nothing to tell it by.

    Each bit says whether a low DCT frequency lies above the median of all 256, so exactly half of them are 1.
    In a flat or perfectly regular picture many frequencies tie, and unrelated pictures would get equal hashes.
    """
    side = 4 * HASH_SIZE  # ImageHash works on this size; it is made here, for the contrast to be measured on it too
    small = Image.fromarray(pixels).convert("L").resize((side, side), Image.Resampling.LANCZOS)
    bits = imagehash.phash(small, hash_size=HASH_SIZE, highfreq_factor=4).hash
    if bits.sum() != bits.size // 2 or np.asarray(small).std() < MIN_CONTRAST:
        return ""
    return np.packbits(bits).tobytes().hex()


def describe_all(paths: Sequence[Path], max_pixels: int, workers: int = -1) -> list[Record]:
    """A record for each path, in their order. `workers` as in the settings: -1 is one a core.

    Progress is shown on stderr when that is a terminal.
    """
    count = min(available_cores() if workers < 0 else max(workers, 1), -(-len(paths) // CHUNK))
    with tqdm(total=len(paths), desc="reading images", unit=" images", disable=None, leave=False) as bar:
        if count <= 1 or len(paths) <= SERIAL:
            return [record for path in paths for record in _counted(bar, [describe(path, max_pixels)])]
        chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
        done: dict[int, list[Record]] = {}
        while len(done) < len(chunks):  # once, unless a worker is killed
            todo = [number for number in range(len(chunks)) if number not in done]
            try:
                for number, records in _in_pool(((n, chunks[n]) for n in todo), max_pixels, count):
                    done[number] = _counted(bar, records)
            except BrokenProcessPool:
                # One of the chunks that were out at the time did it: the first ones not done.
                for number in [n for n in todo if n not in done][: 2 * count]:
                    done[number] = _counted(bar, [_alone(path, max_pixels) for path in chunks[number]])
        return [record for number in range(len(chunks)) for record in done[number]]


def _counted(bar: "tqdm[Any]", records: list[Record]) -> list[Record]:
    bar.update(len(records))
    return records


def _in_pool(
    tasks: Iterable[tuple[int, Sequence[Path]]], max_pixels: int, workers: int
) -> Iterator[tuple[int, list[Record]]]:
    """Describe numbered chunks in worker processes, two a worker at a time; yields them as they are done."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (context.RLock(), workers))
    running: dict[Future[list[Record]], int] = {}
    try:
        for number, chunk in tasks:
            running[pool.submit(_describe_chunk, chunk, max_pixels)] = number
            if len(running) >= 2 * workers:
                yield from _finished(running, FIRST_COMPLETED)
        yield from _finished(running)
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(
    running: dict[Future[list[Record]], int], until: str = "ALL_COMPLETED"
) -> Iterator[tuple[int, list[Record]]]:
    for future in wait(running, return_when=until).done:
        yield running.pop(future), future.result()


def _alone(path: Path, max_pixels: int) -> Record:
    """Describe a suspect in a process of its own, which it may take down."""
    try:
        return next(_in_pool([(0, [path])], max_pixels, 1))[1][0]
    except BrokenProcessPool:
        return Record(error="crashes the decoder")


# In the worker processes

_lock: AbstractContextManager[Any] | None = None
_share = 1


def _start_worker(lock: AbstractContextManager[Any], share: int) -> None:
    global _lock, _share
    _lock, _share = lock, share
    follow_parent()


def _describe_chunk(paths: Sequence[Path], max_pixels: int) -> list[Record]:
    return [describe(path, max_pixels, share=_share, lock=_lock) for path in paths]


def _turn(large: bool, lock: AbstractContextManager[Any] | None) -> AbstractContextManager[Any]:
    """Large images take turns, so that a folder of nothing else does not multiply the memory by the workers."""
    return lock if large and lock is not None else nullcontext()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0  # `read_bytes` will say what is wrong
