"""A file made ready for its card: all that needs no network. Worker processes can do this part."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfd.cards.copies import copies_of
from dfd.data.changes import Change, Pixels
from dfd.data.decode import open_image, to_rgb
from dfd.data.transforms import Joint
from dfd.evidence.evidence import Evidence, examine


@dataclass(frozen=True)
class Picture:
    """One file: what it is, and the inputs that networks want of it and of its copies. Picklable.

    `inputs` is uint8 [1 + C, 3, h, w]: the picture as it is, then one row for each of the C `changes`. `width` and
    `height` are those of the upright picture.
    """

    name: str
    bytes: int
    sha256: str
    format: str
    width: int
    height: int
    evidence: Evidence
    changes: tuple[Change, ...]
    inputs: NDArray[np.uint8]


def open_picture(name: str, data: bytes, joint: Joint, max_pixels: int) -> tuple[Picture, Pixels]:
    """The content of a file as a `Picture`, and its pixels uint8 RGB [H, W, 3]. Raises UnusableImage."""
    image = open_image(data, max_pixels)
    kind = image.format or ""
    pixels = to_rgb(image)
    changes, inputs = [], [joint(pixels)]
    for change, copy in copies_of(pixels):
        changes.append(change)
        inputs.append(joint(copy))
    height, width = pixels.shape[:2]
    picture = Picture(
        name=name,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        format=kind,
        width=width,
        height=height,
        evidence=examine(data, max_pixels, name),
        changes=tuple(changes),
        inputs=np.ascontiguousarray(np.stack(inputs).transpose(0, 3, 1, 2)),
    )
    return picture, pixels
