import numpy as np
import pytest

from dfd.data.layout import MIDDLE, PARTS, replaced, replaced_parts
from dfd.explain.pointing import hit, peak


def test_the_peak_is_a_place_and_no_single_pixel() -> None:
    values = np.zeros((100, 100))
    values[20:30, 60:70] = 1
    values[80, 10] = 1.5
    row, column = peak(values)
    assert 20 <= row < 30 and 60 <= column < 70


def test_what_was_not_looked_at_is_never_the_peak() -> None:
    values = np.full((10, 10), np.nan)
    values[4, 7] = -5
    assert peak(values) == (4, 7)


@pytest.mark.parametrize(
    ("region", "parts"),
    [
        ("1000", ["left eye"]),
        ("0111", ["right eye", "nose", "mouth"]),
        ("0000", []),
        ("", []),
        ("111", []),
        ("11111", []),
        ("١٠٠٠", []),
    ],
)
def test_four_digits_name_the_replaced_parts(region: str, parts: list[str]) -> None:
    assert replaced_parts(region) == parts
    assert replaced(region, 50, 80).any() == bool(parts)


def test_a_map_points_at_a_part_or_beside_it() -> None:
    rows, columns = np.mgrid[:160, :160] / 160
    for name, (left, top, right, bottom) in PARTS.items():
        at = ((top + bottom) / 2, (left + right) / 2)
        towards = -np.hypot(rows - at[0], columns - at[1])
        digits = "".join("1" if name == each else "0" for each in PARTS)
        assert hit(towards, replaced(digits, 160, 160))
        others = "".join("0" if name == each else "1" for each in PARTS)
        assert not hit(towards, replaced(others, 160, 160) & ~replaced(digits, 160, 160))


def test_the_middle_of_the_face_is_its_nose() -> None:
    inside = replaced("0010", 100, 100)
    assert inside[int(100 * MIDDLE[1]), int(100 * MIDDLE[0])]
