"""Image files for tests: small ordinary ones, and every kind of hostile one."""

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def picture(seed: int, width: int = 48, height: int = 40) -> Pixels:
    """A random picture [H, W, 3]; another seed gives one with a very different perceptual hash."""
    coarse = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: Pixels | Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, format, **options)
    return buffer.getvalue()


def write_picture(path: Path, seed: int, **options: Any) -> Path:
    """A JPEG or, by the suffix, another format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF", ".bmp": "BMP"}
    path.write_bytes(encoded(picture(seed, **options), kinds.get(path.suffix, "JPEG")))
    return path


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises width x height pixels, and keeps the promise row by row of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes((width + 7) // 8 + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def turned(pixels: Pixels, orientation: int) -> bytes:
    """A PNG that shows `pixels` if its EXIF orientation is followed."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(np.ascontiguousarray(undo[orientation](pixels)), "PNG", exif=exif)


def hostile(folder: Path) -> dict[str, str]:
    """Fill a folder with files that give no image; name to reason."""
    good = encoded(picture(0, 64, 64))
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"not a picture\n", "not an image"),
        "truncated.jpg": (good[: len(good) // 2], "truncated"),
        "truncated.png": (encoded(picture(0, 64, 64), "PNG")[:-200], "truncated"),
        "bomb.png": (bomb(30_000, 30_000), "900,000,000 pixels, limit 64,000,000 (max_pixels)"),
        "float.tif": (encoded(Image.new("F", (8, 8)), "TIFF"), "floating-point pixels, whose white is not known"),
        "program.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        "line\nbreak.jpg": (b"", "empty file"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to(folder / "nothing.jpg")
    (folder / "round.jpg").symlink_to(folder / "round.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {name: reason for name, (_, reason) in contents.items()} | {
        "link.jpg": "a link to nothing",
        "round.jpg": "cannot be read (Too many levels of symbolic links)",
        "pipe.jpg": "not a regular file",
    }


def real_and_fake(folder: Path, count: int, write: Callable[[Path, int], Any] = write_picture) -> Path:
    """`count` real and as many fake images, all different, in `real/` and `fake/`."""
    for number in range(count):
        write(folder / "real" / f"{number:03d}.jpg", number)
        write(folder / "fake" / f"{number:03d}.jpg", 10_000 + number)
    return folder
