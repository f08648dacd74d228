"""Where the parts of a face lie in the pictures of the Yonsei set, which says of each fake what was replaced in it.

Boxes and no landmarks: no face model comes with this package. They were read off 30 of its fakes, drawn at random: the
median place of each part, its size, and room for one deviation of the places (0.05 to 0.06 of the side). The face in a
picture lies elsewhere now and then, and a peak there counts as a miss, for a map as for the floors that it is compared
with. Left and right are those of who looks at the picture; 31 fakes beside their originals show it.
"""

import re

import numpy as np

# Left, top, right and bottom, in parts of the width and the height; in the order of the digits of `region`.
PARTS = {
    "left eye": (0.25, 0.41, 0.49, 0.59),
    "right eye": (0.51, 0.41, 0.75, 0.59),
    "nose": (0.40, 0.54, 0.60, 0.72),
    "mouth": (0.36, 0.69, 0.66, 0.87),
}
MIDDLE = (0.50, 0.60)  # of the face: the mean of the boxes' middles
REGION = re.compile("[01]{4}")


def replaced_parts(region: str) -> list[str]:
    """The parts that four digits name, such as ['nose'] for '0010'; none for any other text."""
    if not REGION.fullmatch(region):
        return []
    return [name for name, digit in zip(PARTS, region, strict=True) if digit == "1"]


def replaced(region: str, height: int, width: int) -> np.ndarray:
    """bool [H, W]: True in the boxes of the parts that were replaced."""
    inside = np.zeros((height, width), bool)
    for name in replaced_parts(region):
        left, top, right, bottom = PARTS[name]
        inside[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    return inside
