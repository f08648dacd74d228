"""Nuisances of many files, read by worker processes that load neither torch nor pandas."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from dfd.audit.nuisance import Nuisance, describe
from dfd.errors import UserError
from dfd.machine import follow_parent

CHUNK = 32  # files a task
SERIAL = 128  # so few files are read before worker processes have started


def describe_all(paths: Sequence[Path], max_pixels: int, workers: int = 0) -> list[Nuisance]:
    """A record for each path, in their order, read by so many processes; 0: by this one.

    Shows progress on a terminal.
    """
    with tqdm(total=len(paths), desc="reading images", unit=" images", disable=None, leave=False) as bar:
        found: list[Nuisance] = []
        for records in _records(paths, max_pixels, workers):
            found += records
            bar.update(len(records))
    return found


def _records(paths: Sequence[Path], max_pixels: int, workers: int) -> Iterator[list[Nuisance]]:
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    workers = min(workers, len(chunks))
    if workers <= 1 or len(paths) <= SERIAL:
        yield from (_describe_chunk(chunk, max_pixels) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), follow_parent)
    try:
        yield from pool.map(_describe_chunk, chunks, [max_pixels] * len(chunks))
    except BrokenProcessPool:
        raise UserError(
            "a process that reads images was killed, as happens when the memory runs out; "
            "run dfd data prepare with force=true to find the image that does it"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _describe_chunk(paths: Sequence[Path], max_pixels: int) -> list[Nuisance]:
    return [describe(path, max_pixels) for path in paths]
