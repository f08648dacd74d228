"""What worker processes do: unpack JSON, decode pictures, prepare cards. No network runs there."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from dfd import machine
from dfd.cards.picture import Picture, open_picture
from dfd.data.decode import read_image
from dfd.data.transforms import Joint
from dfd.serving.problems import unprocessable
from dfd.serving.requests import Images
from dfd.serving.uploads import File, Upload

LEAST_MEMORY = 2 * 2**30  # bytes that each job may take beyond what its process has
COPIES = 12  # … or so many of the largest accepted picture at 4 bytes a pixel: decoded, turned, over white, at work


@dataclass(frozen=True)
class Unpack:
    """A JSON body, to be made an `Upload`."""

    body: bytes


@dataclass(frozen=True)
class Decode:
    """A file, to be made the networks' input uint8 [3, h, w]."""

    file: File


@dataclass(frozen=True)
class Open:
    """A file, to be made a `Picture` for its card."""

    file: File


@dataclass(frozen=True)
class Preparer:
    """Handles the jobs above. Picklable."""

    joint: Joint
    max_pixels: int
    max_images: int

    def __call__(self, job: Unpack | Decode | Open) -> Upload | np.ndarray | Picture:
        """Raises UnusableImage for a bad file, Problem for a bad body, MemoryError for one that takes too much."""
        with machine.bounded_memory(memory_for(self.max_pixels)):
            return self._made(job)

    def _made(self, job: Unpack | Decode | Open) -> Upload | np.ndarray | Picture:
        if isinstance(job, Unpack):
            return unpack(job.body, self.max_images)
        if isinstance(job, Decode):
            made = self.joint(read_image(job.file.data, self.max_pixels))
            return np.ascontiguousarray(made.transpose(2, 0, 1))
        return open_picture(job.file.name, job.file.data, self.joint, self.max_pixels)[0]


def memory_for(max_pixels: int) -> int:
    """Bytes that a job with a picture may take."""
    return max(LEAST_MEMORY, COPIES * 4 * max_pixels)


def unpack(body: bytes, max_images: int) -> Upload:
    """The files in a JSON body, see `requests.Images`. Raises Problem."""
    try:
        wanted = Images.model_validate_json(body)
    except ValidationError as error:
        raise unprocessable(_worded(error)) from None
    if len(wanted.images) > max_images:
        raise unprocessable(f"{len(wanted.images)} images, limit {max_images} (max_images)")
    files = [File(one.name, _decoded(one.data, number)) for number, one in enumerate(wanted.images)]
    return Upload(files, wanted.card)


def _decoded(text: str, number: int) -> bytes:
    try:
        return base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise unprocessable(f"images.{number}.data is not base64 (RFC 4648, section 4)") from None


def _worded(error: ValidationError) -> str:
    """One mistake, without the value: it may be a whole picture. An unknown entry explains most of the others."""
    mistakes: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    first = min(mistakes, key=lambda mistake: mistake["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{place} is not known; accepted are images and card, and for each image data and name"
    return f"{place}: {first['msg']}" if place else first["msg"]
