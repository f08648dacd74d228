"""Messages between the process that decodes and the one that scores: a line of JSON and, for a frame, its pixels.

No pickle: the process that decodes may have fallen to a hostile file, and what it says is checked.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_HEADER = 2**16  # bytes
MOST_NUMBER = 2**53  # beyond it, whole numbers get lost in tables that hold them as floats

# What each kind of message holds. First the facts, then each frame that will be decoded ('wanted', in rising order) and
# 'decoding', so that the other process knows what is missing if no more comes; then one 'frame' or 'failed' for each of
# them in the same order, and 'end'. 'unusable' may take the place of any of them and is the last one.
KINDS: dict[str, dict[str, type]] = {
    "facts": {
        **{"format": str, "codec": str, "hdr": str, "whole": bool, "fps": float, "duration": float},
        **{"width": int, "height": int, "frames": int, "promised": int},
    },
    "wanted": {"frame": int, "time": float, "scene": bool},
    "decoding": {"searched": bool},
    "frame": {"frame": int, "height": int, "width": int},
    "failed": {"frame": int, "reason": str},
    "end": {},
    "unusable": {"reason": str},
}


@dataclass(frozen=True)
class Reading:
    """What is asked for: at most `frames` frames, those at the beginnings of `scenes` as well, within `seconds`."""

    frames: int
    scenes: bool
    seconds: float
    max_pixels: int


def send(stream: BinaryIO, message: dict[str, Any], pixels: bytes | memoryview = b"") -> None:
    """Write one message."""
    stream.write(json.dumps({**message, "bytes": len(pixels)}).encode() + b"\n")
    stream.write(pixels)
    stream.flush()


def understand(line: bytes, largest: int) -> dict[str, Any] | None:
    """A message's header, or None if it is none of KINDS; its pixels, at most `largest` bytes, come after it."""
    try:
        message = json.loads(line)
        kind = KINDS[message["kind"]]
        held = {name: message[name] for name in ("kind", "bytes", *kind)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if any(type(held[name]) is not wanted for name, wanted in {"bytes": int, **kind}.items()):
        return None
    if not all(math.isfinite(value) for value in held.values() if isinstance(value, float)):
        return None
    return held if _makes_sense(held, largest) else None


def _makes_sense(held: dict[str, Any], largest: int) -> bool:
    if held.get("height", 1) <= 0 or held.get("width", 1) <= 0 or not 0 <= held.get("frame", 0) < MOST_NUMBER:
        return False
    size = 3 * held["height"] * held["width"] if held["kind"] == "frame" else 0
    return bool(0 <= held["bytes"] == size <= largest)
