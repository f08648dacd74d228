"""Frames of a video, decoded by a process of its own: a file that crashes, fills or stalls a decoder costs one row."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dfd.files import CannotOpen, open_regular
from dfd.video.budget import Budget
from dfd.video.errors import UnusableVideo
from dfd.video.wire import MOST_HEADER, Reading, understand

GRACE = 15.0  # seconds; the process ends by itself when its time is over, unless it hangs
NONSENSE = "the decoder said what makes no sense"
MOST_STRETCH = 4  # see pixels.MOST_STRETCH: a frame may be shown this much wider than it is stored


@dataclass(frozen=True)
class Frame:
    """One frame: its number in the video, seconds from the start, whether a scene begins with it, and either its pixels
    uint8 RGB [H, W, 3] or the reason why there are none.
    """

    number: int
    time: float
    scene: bool
    pixels: NDArray[np.uint8] | None
    error: str | None = None


@dataclass
class Clip:
    """A video that is being read. `facts` come first, `frames` can be gone through once, `notes` are complete after it.

    Facts: those of `container.Facts`, `duration` in seconds, `frames` in the file, `promised` by its header, `whole`.
    """

    facts: dict[str, Any]
    frames: Iterator[Frame]
    notes: list[str] = field(default_factory=list)


@contextmanager
def read_video(path: Path, reading: Reading) -> Iterator[Clip]:
    """The frames of a video file. Raises UnusableVideo."""
    with _opened(path) as file, _process(file, reading) as process:
        messages = _Messages(process, reading)
        facts = messages.next()
        if facts is None or facts["kind"] != "facts":
            raise UnusableVideo(messages.end if facts is None else facts.get("reason", "no frames in it"))
        clip = Clip(facts, iter(()), _first_notes(facts))
        wanted = _wanted(messages, 2 * reading.frames, clip.notes)  # as many scenes as frames
        clip.frames = _frames(messages, wanted, clip.notes)
        yield clip


def _opened(path: Path) -> BinaryIO:
    try:
        file = open_regular(path)
    except CannotOpen as error:
        raise UnusableVideo(error.reason) from None
    if not os.fstat(file.fileno()).st_size:
        file.close()
        raise UnusableVideo("empty file")
    return file


@contextmanager
def _process(file: BinaryIO, reading: Reading) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "dfd.video.worker", json.dumps(asdict(reading))]
    process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _wanted(messages: "_Messages", most: int, notes: list[str]) -> list[Frame]:
    """The frames that are to come, as yet without pixels. Raises UnusableVideo."""
    wanted: list[Frame] = []
    while (message := messages.next()) is not None and message["kind"] == "wanted":
        if len(wanted) == most or (wanted and message["frame"] <= wanted[-1].number):
            raise UnusableVideo(NONSENSE)
        wanted.append(Frame(message["frame"], message["time"], message["scene"], None))
    if message is None or message["kind"] != "decoding":
        raise UnusableVideo(_why(messages, message))
    if not message["searched"]:
        notes.append("the time was over before all of it was searched for scenes (video.seconds)")
    return wanted


def _frames(messages: "_Messages", wanted: list[Frame], notes: list[str]) -> Iterator[Frame]:
    """Each wanted frame. Those that never come are failed ones, lest the rest be taken for all of them."""
    for at, frame in enumerate(wanted):
        message = messages.next()
        if message is None or message["kind"] not in ("frame", "failed") or message["frame"] != frame.number:
            reason = _why(messages, message)
            notes.append(f"{reason}: what came later is missing")
            yield from (replace(missing, error=reason) for missing in wanted[at:])
            return
        with messages.paused():
            yield _arrived(frame, message)


def _arrived(frame: Frame, message: dict[str, Any]) -> Frame:
    if message["kind"] == "failed":
        return replace(frame, error=message["reason"])
    size = (message["height"], message["width"], 3)
    return replace(frame, pixels=np.frombuffer(message["pixels"], np.uint8).reshape(size))


def _why(messages: "_Messages", message: dict[str, Any] | None) -> str:
    """Why what was expected did not come."""
    if message is None:
        return messages.end
    return str(message["reason"]) if message["kind"] == "unusable" else NONSENSE


def _first_notes(facts: dict[str, Any]) -> list[str]:
    notes = []
    if not facts["whole"]:
        notes.append(f"read as far as {facts['duration']:.1f} s: the file is damaged there, or too long for its time")
    elif facts["promised"] > facts["frames"]:
        notes.append(f"cut short: {facts['frames']} of the {facts['promised']} frames that it promises are in it")
    if facts["hdr"]:
        notes.append(f"HDR ({facts['hdr']}): tone mapping is not done, the frames come out flat")
    return notes


class _Messages:
    """What the process says, as long as it keeps to its time and to sizes that make sense."""

    def __init__(self, process: subprocess.Popen, reading: Reading) -> None:
        self._process = process
        self._budget = Budget(reading.seconds + GRACE)
        self._largest = 3 * MOST_STRETCH * reading.max_pixels
        self._rest = b""
        self.end = "the decoder ended without a word"

    def next(self) -> dict[str, Any] | None:
        """The next message, with its `pixels` if it has any. None: there is none, and `end` says why."""
        while b"\n" not in self._rest:
            if len(self._rest) > MOST_HEADER:
                self.end = NONSENSE
                return None
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\n")
        message = understand(head, self._largest)
        if message is None:
            self.end = NONSENSE
            return None
        pixels = self._exactly(message["bytes"])
        return None if pixels is None else {**message, "pixels": pixels}

    def paused(self) -> AbstractContextManager[None]:
        """While frames are scored, the decoder's time stands still."""
        return self._budget.paused()

    def _exactly(self, size: int) -> bytes | None:
        parts, missing = [self._rest[:size]], size - len(self._rest[:size])
        self._rest = self._rest[size:]
        while missing > 0:
            part = self._read(min(missing, 2**22))
            if not part:
                return None
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _more(self) -> bool:
        part = self._read(2**16)
        self._rest += part
        return bool(part)

    def _read(self, most: int) -> bytes:
        """Empty at the end, which `end` then explains."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0.0, self._budget.left))[0]:
            self.end = "the decoder hung, and was stopped"
            return b""
        part = self._process.stdout.read(most)
        if not part:
            code = self._process.wait()
            self.end = f"the decoder crashed ({f'signal {-code}' if code < 0 else f'code {code}'})"
        return part
