"""When each frame of a video is shown, and from which frames decoding can start. No frame is decoded for it."""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dfd.video.budget import Budget
from dfd.video.errors import UnusableVideo

MOST_FRAMES = 4_000_000  # 18 hours at 60 a second

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """The frames of a video in the order in which they are shown.

    `pts` int64 [N] rising and `keys` int64 [K], those of the key frames, are in ticks of `tick` seconds; `start` is the
    time in seconds that players call 0. `ordered`: the file itself says when a frame is shown. Otherwise (AVI) `pts`
    are the times at which frames are decoded, and frames have to be counted. `keys` hold those as well that an edit
    list keeps from being shown: decoding of what it shows may start there. `promised`: frames to be shown by the
    header, 0 if it is silent. `whole`: the file was gone through to its end.
    """

    pts: Ints
    keys: Ints
    tick: float
    start: float
    ordered: bool
    promised: int
    whole: bool

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds from the start [N]."""
        return self.pts.astype(np.float64) * self.tick - self.start

    @property
    def duration(self) -> float:
        """Seconds; the last frame is taken to last as long as frames do at the median."""
        gaps = np.diff(self.times)
        return float(self.times[-1] - self.times[0] + (np.median(gaps) if len(gaps) else 0))


def survey(container: Any, stream: Any, budget: Budget) -> Timeline:
    """Go through the packets of a stream. Raises UnusableVideo if there is none."""
    ordered = not container.format.name.startswith("avi")
    shown: list[int] = []
    keys: list[int] = []
    discarded, whole = 0, False
    try:
        for packet in container.demux(stream):
            time = _time_of(packet, ordered)
            if packet.size and time is not None:
                if packet.is_discard:
                    discarded += 1
                else:
                    shown.append(time)
                if packet.is_keyframe:
                    keys.append(time)
            if budget.left < 0 or len(shown) + discarded == MOST_FRAMES:
                break
        else:
            whole = True
    except av.FFmpegError:  # what comes before the damage counts
        pass
    if not shown:
        raise UnusableVideo("no frames in it")
    pts = np.unique(np.array(shown, np.int64))
    return Timeline(
        pts=pts,
        keys=np.unique(np.array(keys or shown[:1], np.int64)),
        tick=float(stream.time_base),
        start=_start(container, pts[0] * float(stream.time_base)),
        ordered=ordered,
        promised=max(0, _promised(container, stream) - discarded),
        whole=whole,
    )


def _promised(container: Any, stream: Any) -> int:
    """Frames by the header. That of an .mp4 counts those as well which an edit list leaves out; its index does not."""
    indexed = len(getattr(stream, "index_entries", ())) if container.format.name.startswith("mov") else 0
    return min(int(stream.frames), indexed) if indexed else int(stream.frames)


def _time_of(packet: Any, ordered: bool) -> int | None:
    return packet.pts if ordered and packet.pts is not None else packet.dts


def _start(container: Any, first: float) -> float:
    """Sound may begin before the pictures, and players count from there."""
    if container.start_time is None:
        return first
    return min(first, container.start_time / av.time_base)
