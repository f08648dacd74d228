"""A decoder that some images are deadly for; worker processes import it."""

import os
import time
from dataclasses import dataclass

import numpy as np

from dfd.data.transforms import Joint


@dataclass(frozen=True)
class Deadly(Joint):
    """Ends its process at an image that is 13 pixels wide, and hangs at one of 17."""

    def __call__(self, image: np.ndarray, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        if image.shape[1] == 13:
            os._exit(7)
        if image.shape[1] == 17:
            time.sleep(100)
        return super().__call__(image, offset)
