import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd.data import duplicates
from dfd.data.duplicates import group_images, near_pairs


def hashes(rng: np.random.Generator, count: int, spread: int) -> pd.Series:
    """Hashes around few centres, so that all distances from 0 up occur."""
    centres = rng.integers(0, 2, (3, 256), np.uint8)
    bits = centres[rng.integers(0, 3, count)] ^ (rng.random((count, 256)) < spread / 256)
    return pd.Series([np.packbits(row).tobytes().hex() for row in bits])


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def connected(pairs: np.ndarray, count: int) -> list[int]:
    """Smallest row that each row is connected with, by repetition."""
    lowest = list(range(count))
    for _ in range(count):
        for first, second in pairs:
            lowest[first] = lowest[second] = min(lowest[first], lowest[second])
    return lowest


@given(st.integers(0, 2**32 - 1), st.integers(0, 64), st.integers(0, 40), st.integers(0, 30))
def test_near_pairs_are_those_of_brute_force(seed: int, bits: int, count: int, spread: int) -> None:
    phash = hashes(np.random.default_rng(seed), count, spread)
    pairs = near_pairs(phash, bits)
    assert all(first < second for first, second in pairs)
    assert all(distance(phash[first], phash[second]) <= bits for first, second in pairs)
    every = [(i, j) for i in range(count) for j in range(i + 1, count) if distance(phash[i], phash[j]) <= bits]
    assert connected(pairs, count) == connected(np.array(every), count)


def test_blocks_meet_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    phash = hashes(np.random.default_rng(0), 100, 20)
    whole = {tuple(pair) for pair in near_pairs(phash, 30)}
    assert len(whole) > 10
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    monkeypatch.setattr(duplicates, "WIDTH", 11)
    assert {tuple(pair) for pair in near_pairs(phash, 30)} == whole


def test_opposite_hashes_are_far_apart() -> None:
    assert len(near_pairs(pd.Series(["0" * 64, "f" * 64]), 64)) == 0


def table(sha256: str, phash: list[str], label: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"sha256": list(sha256), "phash": phash, "label": label or [0] * len(phash)})


def test_groups_and_counts() -> None:
    near, far = "0" * 63 + "1", "0" * 32 + "f" * 32
    rows = table("aabcd", ["0" * 64, "0" * 64, near, far, "f" * 64], [0, 0, 1, 1, 1])
    groups, counts = group_images(rows, 1)
    assert groups.tolist() == [0, 0, 0, 1, 2]
    assert counts == {"exact": 1, "near": 1, "largest": 3, "across_labels": 1}


def test_pictures_without_a_hash_are_grouped_by_file_alone() -> None:
    assert group_images(table("abac", ["", "", "", ""]), 64)[0].tolist() == [0, 1, 0, 2]


def test_known_groups_are_joined_with_what_is_found() -> None:
    rows = table("abcd", ["0" * 64, "0" * 32 + "f" * 32, "f" * 64, "f" * 64]).assign(group=["x", "x", "y", "z"])
    groups, counts = group_images(rows, 0)
    assert groups.tolist() == [0, 0, 1, 1]
    assert counts["largest"] == 2  # what the data set says of itself is no duplicate


def test_a_chain_is_one_group() -> None:
    chain = [f"{(1 << length) - 1:064x}" for length in range(0, 12, 2)]
    assert group_images(table("abcdef", chain), 2)[0].tolist() == [0] * 6
    assert group_images(table("abcdef", chain), 1)[0].tolist() == list(range(6))
