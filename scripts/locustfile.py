"""Users of `dfd serve` for locust: each sends one picture after the other. Started by load_server.py.

Settings come as environment variables: LOAD_IMAGES (a folder), LOAD_HOSTILE (share of hostile files), LOAD_TOTAL
(requests after which all stop; 0: none), LOAD_RESULT (JSON file for the counts and times).
"""

import json
import os
import random
import struct
import zlib
from collections import Counter, defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task
from locust.exception import StopUser
from PIL import Image

HOSTILE = float(os.environ.get("LOAD_HOSTILE", "0"))
TOTAL = int(os.environ.get("LOAD_TOTAL", "0"))
BOUNDARY = "a-boundary-that-is-in-no-picture"
FORM = f"multipart/form-data; boundary={BOUNDARY}"

counts: Counter[str] = Counter()
times: dict[str, list[float]] = defaultdict(list)


def form(data: bytes, field: str = "files") -> bytes:
    """A picture as a multipart body."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="picture"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says to be of this size, and has no more than a few pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def jpeg(*, exif: int = 0) -> bytes:
    """A small JPEG with `exif` bytes of comments before the picture."""
    buffer = BytesIO()
    Image.effect_noise((256, 256), 60).convert("RGB").save(buffer, "JPEG")
    data = buffer.getvalue()
    segments = b"".join(b"\xff\xfe\xff\xff" + bytes(65533) for _ in range(exif // 65533))
    return data[:2] + segments + data[2:]


def hostile() -> dict[str, tuple[str, bytes]]:
    """Name, content type and body of requests that no server should fall over, or answer with a verdict."""
    whole = jpeg()
    files = {
        "bomb": png_header(60_000, 60_000),
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello",
        "svg": b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><svg>&y;</svg>',
        "zip": b"PK\x03\x04" + bytes(1000),
        "noise": random.Random(0).randbytes(100_000),
        "gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00" + b"\xff" * 100,
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
    }
    bodies = {name: (FORM, form(data)) for name, data in files.items()}
    return bodies | {
        "too large": (FORM, form(bytes(25_000_000))),
        "other field": (FORM, form(whole, "url")),
        "no end": (FORM, form(whole)[:-20]),
        "deep JSON": ("application/json", b"[" * 200_000),
        "an address": ("application/json", b'{"images": [{"url": "http://169.254.169.254/"}]}'),
        "no type": ("", whole),
    }


PICTURES = [
    form(path.read_bytes())
    for path in sorted(Path(os.environ["LOAD_IMAGES"]).rglob("*"))[:200]
    if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
]
ATTACKS = hostile() if HOSTILE else {}


class Sender(FastHttpUser):
    """Sends without a pause; told to come back later, it does."""

    wait_time = constant(0)
    network_timeout = connection_timeout = 120.0

    @task
    def send(self) -> None:
        """One request; its kind and status are counted."""
        if TOTAL and counts["sent"] >= TOTAL:
            raise StopUser
        counts["sent"] += 1
        if random.random() < HOSTILE:
            name = random.choice(sorted(ATTACKS))
            kind, body = ATTACKS[name]
        else:
            name, kind, body = "picture", FORM, random.choice(PICTURES)
        headers = {"Content-Type": kind} if kind else {}
        with self.client.post("/v1/predict", data=body, headers=headers, catch_response=True) as answer:
            answer.success()  # what counts as one is decided from the counts
            counts[f"{name} {answer.status_code}"] += 1
            times[str(answer.status_code)].append(answer.request_meta["response_time"])
            if answer.status_code == 503:
                gevent.sleep(float(answer.headers.get("Retry-After", 1)) * random.uniform(0.5, 1.5))


@events.init.add_listener
def watch(environment: Any, **_: Any) -> None:
    """End when all users have."""

    def wait() -> None:
        while not TOTAL or counts["sent"] < TOTAL or environment.runner.user_count:
            gevent.sleep(0.2)
        environment.runner.quit()

    gevent.spawn(wait)


@events.quitting.add_listener
def write(**_: Any) -> None:
    """Keep what was counted."""
    Path(os.environ["LOAD_RESULT"]).write_text(json.dumps({"sent": counts.pop("sent"), "counts": counts, "ms": times}))
