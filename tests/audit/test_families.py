"""From records to matrices with named columns, and which of them differ."""

import numpy as np
import pytest

from dfd.audit.families import ABOUT, families_of
from dfd.audit.nuisance import Nuisance
from dfd.audit.telling import separation, telling

NUMBERS = (
    *("size: width", "size: height", "size: width over height", "bytes_per_pixel: bytes per pixel"),
    *("quantisation: JPEG quality", "quantisation: table 0, step 1", "colour: mean of red"),
)


def record(seed: int, traits: tuple[str, ...] = (), **numbers: float) -> Nuisance:
    rng = np.random.default_rng(seed)
    values = dict.fromkeys(NUMBERS, 1.0) | {
        next(name for name in NUMBERS if name.endswith(key.replace("_", " "))): value for key, value in numbers.items()
    }
    thumbnail, blurred = rng.integers(0, 256, (8, 8, 3), np.uint8), rng.integers(0, 256, (20, 20), np.uint8)
    return Nuisance(values, frozenset(traits), thumbnail, blurred)


def test_each_family_is_there_and_constants_are_not() -> None:
    families = families_of([record(seed, ("format: JPEG",)) for seed in range(9)])
    assert [family.name for family in families] == list(ABOUT)
    width = {family.name: family.values.shape for family in families}
    assert width["format"] == width["size"] == width["metadata"] == (9, 0)
    assert width["thumbnail"] == (9, 192) and width["blurred"] == (9, 400)
    together = families[-1]
    assert together.values.shape == (9, 592) == (9, len(together.columns))
    assert all(len(family.inputs) == 9 and family.inputs.shape[1] <= 96 for family in families)


def test_rare_traits_are_left_out() -> None:
    records = [
        record(seed, ("metadata: tag Rare",) if seed < 2 else ("metadata: tag Own",) * (seed > 4)) for seed in range(9)
    ]
    family = next(each for each in families_of(records) if each.name == "metadata")
    assert family.columns == ("tag Own",) and family.values[:, 0].tolist() == [0] * 5 + [1] * 4


LABEL = np.arange(40) % 2


def told(name: str, records: list[Nuisance]) -> list[dict]:
    return telling(next(each for each in families_of(records) if each.name == name), LABEL)


def test_a_quality_is_told_once_and_by_its_name() -> None:
    records = [record(i, JPEG_quality=90 if fake else 75, step_1=3 if fake else 8) for i, fake in enumerate(LABEL)]
    assert told("quantisation", records) == [
        {"column": "JPEG quality", "gap": 1.0, "kind": "value", "fakes": [90.0, 1.0], "reals": [75.0, 1.0]}
    ]


def test_a_tag_is_told_with_its_value() -> None:
    tags = ("metadata: tag Software", "metadata: tag Software = GIMP")
    found = told("metadata", [record(i, tags if fake else ()) for i, fake in enumerate(LABEL)])
    assert found == [{"column": "tag Software = GIMP", "gap": 1.0, "kind": "share", "fakes": 1.0, "reals": 0.0}]


def test_numbers_that_vary_are_told_by_quartiles() -> None:
    found = told("colour", [record(i, mean_of_red=100 * fake + i) for i, fake in enumerate(LABEL)])
    assert found[0]["kind"] == "quartiles" and found[0]["fakes"][1] == pytest.approx(120)


def test_equal_classes_tell_nothing() -> None:
    assert told("size", [record(i, width=i // 2) for i in range(40)]) == []


@pytest.mark.parametrize(
    ("values", "gap"), [([1, 1, 1, 1], 0.0), ([0, 1, 0, 1], 1.0), ([0, 5, 9, 5], 0.5), ([0, 0, 1, 1], 0.0)]
)
def test_separation(values: list[float], gap: float) -> None:
    assert separation(np.array(values, float), np.array([0, 1, 0, 1])) == pytest.approx(gap)
