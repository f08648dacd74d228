"""The frames that are wanted, and no more than has to be decoded for them.

Decoding can start at key frames alone. For each part between two of them that holds a wanted frame, the file is wound
to its key frame and decoded as far as the last frame that is wanted.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import av
import numpy as np

from dfd.video.budget import Budget
from dfd.video.survey import Timeline

DAMAGED = "damaged"
LATE = "not decoded in time"


def decode(
    container: Any, stream: Any, timeline: Timeline, wanted: Sequence[int], budget: Budget
) -> Iterator[tuple[int, Any | str]]:
    """Each wanted frame by its number, in rising order, or the reason why there is none.

    Where a decoder meets damage, or has patched it up, no frame counts from there to the next key frame: they are built
    upon each other. (FFmpeg can be told to stop at any fault, err_detect=explode; then it also stops after winding to
    key frames of open groups, where nothing is wrong.) Damage that is valid video to the decoder can't be known.
    """
    for key, rows in groupby(wanted, lambda row: _key_of(timeline, row)):
        if budget.left < 0:
            yield from ((row, LATE) for row in rows)
        else:
            yield from _part(container, stream, timeline, key, list(rows), budget)


def every_frame(container: Any, stream: Any, timeline: Timeline, budget: Budget) -> Iterator[tuple[int, Any]]:
    """All frames in the order in which they are shown, with their numbers, for as long as the budget lasts."""
    numbered = _Numbers(timeline)
    _wind(container, stream, timeline, int(timeline.keys[0]))
    for packet in container.demux(stream):
        numbered.meet(packet)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from ((numbered.number(frame), frame) for frame in frames)
        if budget.left < 0:
            return


def _part(
    container: Any, stream: Any, timeline: Timeline, key: int, wanted: list[int], budget: Budget
) -> Iterator[tuple[int, Any | str]]:
    """As `decode`, of the frames between a key frame and the next one."""
    reason = DAMAGED
    try:
        for number, frame in _from_key(container, stream, timeline, key):
            while wanted and wanted[0] < number:  # it should have come by now
                yield wanted.pop(0), DAMAGED
            if wanted and wanted[0] == number:
                yield wanted.pop(0), frame
            if not wanted:
                return
            if budget.left < 0:
                reason = LATE
                break
    except av.FFmpegError:
        pass
    yield from ((row, reason) for row in wanted)


def _from_key(container: Any, stream: Any, timeline: Timeline, key: int) -> Iterator[tuple[int, Any]]:
    """Frames from a key frame on, with their numbers. Raises av.FFmpegError at damage."""
    numbered, first = _Numbers(timeline), int(np.searchsorted(timeline.pts, key))
    _wind(container, stream, timeline, key)
    for packet in container.demux(stream):
        numbered.meet(packet)
        for frame in packet.decode():
            number = numbered.number(frame)
            # What is shown before the key frame and comes after it may be built upon frames that were not read.
            if frame.is_corrupt and number >= first:
                raise av.InvalidDataError(1, DAMAGED)
            yield number, frame


def _key_of(timeline: Timeline, row: int) -> int:
    before = int(np.searchsorted(timeline.keys, timeline.pts[row], side="right")) - 1
    return int(timeline.keys[max(0, before)])


def _wind(container: Any, stream: Any, timeline: Timeline, key: int) -> None:
    """To the key frame, or before it. A file whose index leads beyond is read from its start."""
    container.seek(key, stream=stream)
    landed = next((each for each in container.demux(stream) if each.dts is not None or each.pts is not None), None)
    beyond = landed is None or (landed.pts if timeline.ordered and landed.pts is not None else landed.dts) > key
    container.seek(int(timeline.pts[0]) if beyond else key, stream=stream)


class _Numbers:
    """The numbers of decoded frames: by their time where the file has it, else counted from where decoding began."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._next: int | None = None

    def meet(self, packet: Any) -> None:
        """Called with each packet before it is decoded."""
        if self._next is None:
            first = packet.dts if not self._timeline.ordered or packet.pts is None else packet.pts
            self._next = int(np.searchsorted(self._timeline.pts, first)) if first is not None else 0

    def number(self, frame: Any) -> int:
        """Of the next frame that comes out."""
        assert self._next is not None
        if self._timeline.ordered and frame.pts is not None:
            self._next = int(np.searchsorted(self._timeline.pts, frame.pts))
        self._next += 1
        return self._next - 1
