"""Messages between the process that decodes and the one that scores: a line of JSON and, for a frame, its pixels.

No pickle: the process that decodes may have fallen to a hostile file, and what it says is checked.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_HEADER = 2**16  # bytes

# What each kind of message holds.
_FRAME = {"frame": int, "time": float, "scene": bool}
KINDS: dict[str, dict[str, type]] = {
    "facts": {
        **{"format": str, "codec": str, "hdr": str, "whole": bool, "fps": float, "duration": float},
        **{"width": int, "height": int, "frames": int, "promised": int},
    },
    "frame": {**_FRAME, "height": int, "width": int},
    "failed": {**_FRAME, "reason": str},
    "end": {"searched": bool},
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
    except (ValueError, TypeError, KeyError):
        return None
    if any(type(held[name]) is not wanted for name, wanted in {"bytes": int, **kind}.items()):
        return None
    if not all(math.isfinite(value) for value in held.values() if isinstance(value, float)):
        return None
    size = 3 * held["height"] * held["width"] if held["kind"] == "frame" else 0
    return held if held["bytes"] == size <= largest and held.get("height", 1) > 0 else None
