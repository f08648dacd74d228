"""Images a second and the time that is left: a bar on a terminal, a line now and then in a log file."""

import sys
import time

from tqdm import tqdm

from dfd.scoring.inputs import SHARD
from dfd.scoring.parts import Part
from dfd.scoring.stream import Chunk

LINE_SECONDS = 30.0
HEADER = 1024  # bytes that a member of a shard takes beside its content, about


class Progress:
    """Counts images. How many a shard holds is told from the size of its images so far."""

    def __init__(self, images: int, shard_bytes: int) -> None:
        self.done = 0
        self._counted, self._shard_bytes = images, shard_bytes
        self._shard_images = self._shard_seen = 0
        self._started = self._told = time.monotonic()
        self._ended: float | None = None
        self._bar = tqdm(total=self.total, desc="images", unit="img", disable=None, dynamic_ncols=True)

    @property
    def total(self) -> int | None:
        """Images in all, about; None while nothing is known of the shards' images."""
        if not self._shard_bytes:
            return self._counted
        if not self._shard_seen:
            return None
        return self._counted + max(self._shard_images, round(self._shard_bytes * self._shard_images / self._shard_seen))

    @property
    def seconds(self) -> float:
        """Since the start, until it was closed."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / max(self.seconds, 1e-9)

    def on_chunk(self, chunk: Chunk) -> None:
        """Count the images of a chunk."""
        if chunk.task.kind == SHARD:
            self._count_shard(len(chunk.items), sum(item.size + HEADER for item in chunk.items))
        self._add(len(chunk.items))

    def on_part(self, part: Part, shard_bytes: int = 0) -> None:
        """Count the images of a part that was scored elsewhere; `shard_bytes`: of the shard that it ends."""
        if shard_bytes:
            self._count_shard(part.rows, shard_bytes)
        self._add(part.rows)

    def close(self) -> None:
        """Stop the clock; leave the last state on the screen."""
        self._ended = time.monotonic()
        self._bar.close()

    def line(self) -> str:
        """Such as '4,096 of about 100,000 images, 512 images/s, 3 min left'."""
        total, rate = self.total, self.rate
        if total is None:
            return f"{self.done:,} images, {rate:,.0f} images/s"
        left = duration(max(0, total - self.done) / rate) if rate else "some time"
        return (
            f"{self.done:,} of {'about ' * bool(self._shard_bytes)}{total:,} images, {rate:,.0f} images/s, {left} left"
        )

    def _count_shard(self, images: int, size: int) -> None:
        self._shard_images += images
        self._shard_seen += size

    def _add(self, images: int) -> None:
        self.done += images
        self._bar.total = self.total
        self._bar.update(images)
        if self._bar.disable and time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            print(f"             {self.line()}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Such as '40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
