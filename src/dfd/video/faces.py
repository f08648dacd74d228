"""The largest face of a frame, found by YuNet (Wu et al. 2023, 'YuNet: a tiny millisecond-level face detector')."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dfd.errors import UserError

MARGIN = 1.3  # side of the square over the longer side of the face
LONGEST = 640  # pixels; a larger frame is searched at this size
LEAST_SCORE = 0.7
SAME_FACE = 0.3  # overlap (intersection over union) from which on two boxes are one face
SAME_MOMENT = 2.0  # seconds between frames beyond which boxes have nothing to do with each other
NO_FACE = "no face"

Pixels = NDArray[np.uint8]


class Box(NamedTuple):
    """A rectangle in pixels of a frame."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.width * self.height


class Finder(Protocol):
    """Finds faces."""

    def __call__(self, pixels: Pixels) -> list[Box]:
        """The faces in a frame uint8 RGB [H, W, 3]."""


class YuNet:
    """OpenCV's FaceDetectorYN with a model file. Raises UserError if the file is missing or holds another network."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UserError(
                f"video.faces={path}: no such file; accepted is a YuNet model (face_detection_yunet_….onnx of the "
                "OpenCV Zoo), which does not come with dfd"
            )
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns of what is of no use to a user
        try:
            self._detector = cv2.FaceDetectorYN.create(str(path), "", (LONGEST, LONGEST), LEAST_SCORE)
            self(np.zeros((LONGEST // 2, LONGEST, 3), np.uint8))
        except cv2.error as error:
            raise UserError(
                f"video.faces={path} is no YuNet model that OpenCV {cv2.__version__} can run: "
                f"{' '.join(str(error.err or error).split())[:120]}"
            ) from None

    def __call__(self, pixels: Pixels) -> list[Box]:
        """See `Finder`."""
        height, width = pixels.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
        self._detector.setInputSize(size)
        _, found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        across, down = width / size[0], height / size[1]
        rows = [] if found is None else found[:, :4].astype(np.float64).tolist()
        return [
            Box(x * across, y * down, w * across, h * down) for x, y, w, h in rows if np.isfinite((x, y, w, h)).all()
        ]


@dataclass
class FaceCrops:
    """Squares around the largest face of each frame, frame after frame of one video.

    Where the face is about where it was a moment ago, its box is the mean of what was found and of the one before: a
    detector's trembling is not the face's. A face elsewhere, a cut and a long time start anew.
    """

    finder: Finder
    _last: Box | None = None
    _time: float = 0.0

    def __call__(self, pixels: Pixels, time: float) -> tuple[Pixels, Box] | None:
        """The square around the largest face and where it is, or None if there is no face."""
        found = max(self.finder(pixels), key=lambda box: box.area, default=None)
        if found is None or found.area <= 0:
            self._last = None
            return None
        if self._last is not None and time - self._time <= SAME_MOMENT and overlap(found, self._last) >= SAME_FACE:
            found = Box(*((np.array(found) + np.array(self._last)) / 2))
        self._last, self._time = found, time
        square = square_around(found, pixels.shape[1], pixels.shape[0])
        x, y, side = int(square.x), int(square.y), int(square.width)
        return pixels[y : y + side, x : x + side], square


def square_around(face: Box, width: int, height: int) -> Box:
    """The square with a margin around a face, in whole pixels within a frame of `width` x `height`.

    At the border it is moved inside; it is never larger than the frame.
    """
    side = int(min(max(1, round(MARGIN * max(face.width, face.height))), width, height))
    x = round(face.x + (face.width - side) / 2)
    y = round(face.y + (face.height - side) / 2)
    return Box(min(max(0, x), width - side), min(max(0, y), height - side), side, side)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.area + other.area - shared) if shared else 0.0
