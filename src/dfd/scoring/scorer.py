"""The pipeline of one process: read and decode ahead, run the network, write behind."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dfd.data.dataset import Batch
from dfd.inference.engine import Engine
from dfd.inference.forward import to_device
from dfd.runtime import Runtime
from dfd.scoring import parts
from dfd.scoring.decoding import Decoder, decoder_of
from dfd.scoring.item import Item
from dfd.scoring.parts import Part
from dfd.scoring.stream import Ahead, Chunk, Reader, Todo
from dfd.scoring.tables import Columns

READ_AHEAD = 2  # chunks of contents in memory that wait for a decoder
WRITE_BEHIND = 2  # parts in memory that wait to be written


@dataclass(frozen=True)
class Job:
    """What scorers of the same parts have in common. `plan`: its digest. `start`: the folder that relative inputs
    start from; None if there are none.
    """

    out: Path
    plan: str
    part: int
    batch_size: int
    max_pixels: int
    columns: Columns
    start: Path | None = None


@dataclass
class _Open:
    """A part that is being scored."""

    items: list[Item] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)

    def rows(self, width: int) -> np.ndarray:
        """Values float32 [n, width] of all images, NaN for those with a reason. Waits for the device."""
        rows = np.full((len(self.items), width), np.nan, np.float32)
        if self.values:
            rows[[reason is None for reason in self.reasons]] = torch.cat(self.values).float().cpu().numpy()
        return rows


class Scorer:
    """Scores tasks with an engine and writes their parts. `workers`: processes that decode; 0: this one does."""

    def __init__(self, job: Job, engine: Engine, runtime: Runtime, workers: int) -> None:
        self._job, self._engine, self._runtime = job, engine, runtime
        self._decoder = decoder_of(engine.joint, job.max_pixels, job.batch_size, workers)
        self._open = _Open()

    def close(self) -> None:
        """End the processes that decode."""
        self._decoder.close()

    def run(self, todo: Iterator[Todo], on_chunk: Callable[[Chunk], None], on_part: Callable[[Part], None]) -> None:
        """Work off the tasks. `on_chunk` hears of images that have gone through the network, `on_part` of parts.

        After an error the scorer is of no further use.
        """
        reader = Reader(self._job.columns, self._job.part, self._job.batch_size)
        chunks = Ahead((chunk for one in todo for chunk in reader.chunks(one)), READ_AHEAD)
        writing: deque[Future[Part]] = deque()
        # The outer autocast, switched off, keeps the weights that inner ones have cast from batch to batch.
        off = torch.autocast(self._runtime.device.type, enabled=False)
        try:
            with ThreadPoolExecutor(1) as writer, torch.inference_mode(), off:
                for chunk in _decoded(chunks, self._decoder):
                    self._score(chunk)
                    on_chunk(chunk)
                    if chunk.ends_part:
                        writing.append(self._write(writer, chunk))
                    while writing and (len(writing) > WRITE_BEHIND or writing[0].done()):
                        on_part(writing.popleft().result())
                for future in writing:
                    on_part(future.result())
        finally:
            chunks.close()

    def _score(self, chunk: Chunk) -> None:
        decoded = self._decoder.take()
        if len(decoded.inputs):
            inputs = decoded.inputs if self._runtime.channels_last else decoded.inputs.contiguous()
            self._open.values.append(self._engine(to_device(Batch(torch.empty(0), inputs, {}), self._runtime)))
        self._open.items += (
            item._replace(content="") if item.size else item for item in chunk.items
        )  # without its bytes
        self._open.reasons += decoded.reasons

    def _write(self, writer: ThreadPoolExecutor, chunk: Chunk) -> "Future[Part]":
        done, self._open = self._open, _Open()
        scored = parts.Scored(chunk.task, chunk.part, done.items, done.reasons, done.rows(self._engine.width))
        return writer.submit(parts.write, self._job.out, scored, self._engine, chunk.ends_task, self._job.plan)


def _decoded(chunks: Ahead[Chunk], decoder: Decoder) -> Iterator[Chunk]:
    """Chunks in their order, each when it is its turn to be taken from the decoder."""
    waiting: deque[Chunk] = deque()
    for chunk in chunks:
        decoder.put([item.content for item in chunk.items])
        waiting.append(chunk)
        if len(waiting) > decoder.ahead:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
