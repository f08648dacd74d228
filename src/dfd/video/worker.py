"""The process that decodes one video: `python -m dfd.video.worker READING`, with the file as its standard input.

Its output is messages (see wire). It has only the open file, a limit on memory, and may write no file. Whatever happens
to it, the other process goes on.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import av
import numpy as np

from dfd.video.budget import Budget
from dfd.video.container import check_size, facts_of, open_video
from dfd.video.decoding import decode, every_frame
from dfd.video.errors import UnusableVideo, in_words
from dfd.video.pixels import to_rgb
from dfd.video.sampling import spread, together
from dfd.video.scenes import change, cuts, thumbnail
from dfd.video.survey import Timeline, survey
from dfd.video.wire import Reading, send

MEMORY = 2**30  # bytes, and as many more a pixel as decoders hold frames:
BYTES_A_PIXEL = 96
SURVEY_SHARE, SCENES_SHARE = 0.5, 0.5  # of the time that is left


def main() -> None:
    """Read one video; ends with a message 'end' or 'unusable'."""
    reading = Reading(**json.loads(sys.argv[1]))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no message
    av.logging.set_level(None)
    _limit(reading.max_pixels)
    budget = Budget(reading.seconds)

    def say(kind: str, pixels: bytes | memoryview = b"", **what: Any) -> None:
        with budget.paused():
            send(output, {"kind": kind, **what}, pixels)

    try:
        _read(io.FileIO(0, closefd=False), reading, budget, say)
    except UnusableVideo as error:
        say("unusable", reason=error.reason)
    except (av.FFmpegError, MemoryError) as error:
        say("unusable", reason=in_words(error))


def _limit(max_pixels: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    memory = MEMORY + BYTES_A_PIXEL * max_pixels
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(file: io.FileIO, reading: Reading, budget: Budget, say: Callable[..., None]) -> None:
    container, stream = open_video(file, reading.max_pixels)
    timeline = survey(container, stream, budget.part(SURVEY_SHARE))
    say(
        "facts",
        **asdict(facts_of(container, stream)),
        duration=timeline.duration,
        frames=len(timeline.pts),
        promised=timeline.promised,
        whole=timeline.whole,
    )
    scenes: list[int] = []
    searched = True
    if reading.scenes:
        scenes, searched = _scenes(container, stream, timeline, reading.frames, budget.part(SCENES_SHARE))
    times = timeline.times
    wanted = together(spread(times, reading.frames), scenes)
    for number in wanted:
        say("wanted", frame=number, time=float(times[number]), scene=number in scenes)
    say("decoding", searched=searched)
    aspect = float(stream.sample_aspect_ratio or 1)
    for number, frame in decode(container, stream, timeline, wanted, budget):
        try:
            if isinstance(frame, str):
                raise UnusableVideo(frame)
            check_size(frame.width, frame.height, reading.max_pixels)
            pixels = to_rgb(frame, aspect)
            say("frame", pixels.data.cast("B"), height=pixels.shape[0], width=pixels.shape[1], frame=number)
        except (UnusableVideo, av.FFmpegError, MemoryError, ValueError) as error:
            say("failed", reason=in_words(error), frame=number)
    say("end")


def _scenes(container: Any, stream: Any, timeline: Timeline, most: int, budget: Budget) -> tuple[list[int], bool]:
    """The first frames of scenes, and whether the whole video was searched for them."""
    changes = np.zeros(len(timeline.pts))
    before = None
    for number, frame in every_frame(container, stream, timeline, budget):
        after = thumbnail(frame)
        if before is not None and number < len(changes):
            changes[number] = change(before, after)
        before = after
    return cuts(changes, most), budget.left >= 0


if __name__ == "__main__":
    main()
