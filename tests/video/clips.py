"""Small videos, made with PyAV: colours by time, so that a frame says which one it is."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE = 64, 48, 25
Painter = Callable[[int], np.ndarray]


def number_picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture that tells its number in eight columns of black and white, uint8 [height, width, 3]."""
    bits = [(number >> place) & 1 for place in range(8)]
    return np.repeat(np.repeat(np.array(bits, np.uint8) * 200 + 28, width // 8)[None, :, None], height, 0).repeat(3, 2)


def number_of(pixels: np.ndarray) -> int:
    """The number that `number_picture` has drawn."""
    columns = pixels[:, : pixels.shape[1] // 8 * 8].mean(axis=(0, 2)).reshape(8, -1).mean(axis=1)
    return int(sum(1 << place for place, value in enumerate(columns) if value > 128))


def halves(number: int) -> np.ndarray:
    """Red above blue, whatever the number."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2, :, 0], picture[HEIGHT // 2 :, :, 2] = 200, 200
    return picture


def write_clip(
    path: Path,
    frames: int = 60,
    codec: str = "libx264",
    paint: Painter = number_picture,
    pts: Sequence[int] | None = None,
    gop: int = 12,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: str | None = None,
    source: str = "rgb24",
    muxing: dict[str, str] | None = None,
    **settings: object,
) -> Path:
    """Write a video of `frames` pictures at RATE a second, or at the times `pts` in ticks of 1/RATE."""
    av.logging.set_level(None)
    size = paint(0).shape
    with av.open(str(path), "w", format=container, options=muxing or {}) as file:
        stream = file.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], pix_fmt
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, RATE)
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for number, time in enumerate(pts or range(frames)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(paint(number)), format=source)
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def turn(path: Path, matrix: Sequence[int]) -> None:
    """Give the video track of an .mp4 a display matrix [a, b, c, d], as a phone does that was held upright."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def trim(path: Path, first: int, frames: int) -> None:
    """Have the edit list of an .mp4 with B-frames show `frames` of them from `first` on, as lossless cutting does."""
    with av.open(str(path)) as file:
        ticks = round(1 / (RATE * file.streams.video[0].time_base))
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4 + 4 + 4  # version and flags, number of entries
    (start,) = struct.unpack_from(">i", data, at + 4)
    struct.pack_into(">Ii", data, at, frames * 1000 // RATE, start + first * ticks)
    path.write_bytes(data)


def write_sound(path: Path) -> Path:
    """A file with sound alone."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
