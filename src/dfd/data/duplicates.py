"""Images that no split may separate: the same file twice, or nearly the same picture."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from dfd.machine import available_cores

WORDS = 4  # 256 bits as four uint64
BLOCK, WIDTH = 16, 4096  # hashes compared at once: 16 x 4096


def group_images(table: pd.DataFrame, bits: int) -> tuple[NDArray[np.int64], dict[str, int]]:
    """A group number for each row of a table with `label`, `sha256` and `phash`, and counts of the duplicates.

    Rows are in one group if they hold the same file, if their hashes differ in at most `bits` bits, or if a column
    `group` (where the data set knows what belongs together) is the same; and so are their partners in turn. Groups
    are numbered by their first row.

    Counts: `exact` and `near`, images that repeat another one; `largest`, images in the largest group of repetitions;
    `across_labels`, such groups with both real and fake images.
    """
    exact = _equal(table["sha256"])
    near = np.concatenate([exact, near_pairs(table["phash"], bits)])
    files, pictures = _join(exact, len(table)), _join(near, len(table))
    labels = table.groupby(pictures)["label"].nunique()
    counts = {
        "exact": len(table) - int(files.max()) - 1,
        "near": int(files.max() - pictures.max()),
        "largest": int(np.bincount(pictures).max()),
        "across_labels": int((labels > 1).sum()),
    }
    if "group" not in table:
        return pictures, counts
    return _join(np.concatenate([near, _equal(table["group"])]), len(table)), counts


def _join(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Numbers of the connected components of `count` rows."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    numbers: NDArray[np.int64] = pd.factorize(connected_components(graph, directed=False)[1])[0].astype(np.int64)
    return numbers


def near_pairs(phash: pd.Series, bits: int) -> NDArray[np.int64]:
    """Pairs of rows [M, 2] whose hashes differ in at most `bits` bits, `first < second`; rows without a hash have none.

    Of rows with equal hashes only the first is compared with others, and the rest are paired with that first one.
    Compares all with all, which is exact, and costs the same whatever the pictures and `bits` are: 27 seconds
    for 140,000 images on two cores. An index by bands of the hash is faster only for a few bits.
    """
    rows = np.flatnonzero((phash != "").to_numpy())
    equal = rows[_equal(phash.iloc[rows])]
    single = rows[~phash.iloc[rows].duplicated().to_numpy()]
    words = np.ascontiguousarray(_unpack(phash.iloc[single]).T)
    starts = range(0, len(single), BLOCK)
    with ThreadPoolExecutor(available_cores()) as pool:  # NumPy lets go of the interpreter while it counts
        blocks = pool.map(lambda start: _pairs_from(start, words, bits), starts)
        bar = tqdm(blocks, "comparing", len(starts), unit=" blocks", disable=None, leave=False)
        pairs: NDArray[np.int64] = np.concatenate([equal, *(single[found] for found in bar)])
        return pairs


def _pairs_from(start: int, words: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Pairs [M, 2] of BLOCK columns of `words` [4, N] from `start` on, each with the columns after it."""
    found = [np.empty((0, 2), np.int64)]
    for other in range(start, words.shape[1], WIDTH):  # pieces that stay in the processor's cache
        left, right = words[:, start : start + BLOCK, None], words[:, None, other : other + WIDTH]
        distance = np.bitwise_count(left[0] ^ right[0]).astype(np.uint16)  # 256 does not fit into 8 bits
        for one, two in zip(left[1:], right[1:], strict=True):
            distance += np.bitwise_count(one ^ two)
        first, second = np.nonzero(distance <= bits)
        found.append(np.stack([first + start, second + other], axis=1))
    pairs = np.concatenate(found)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _equal(values: pd.Series) -> NDArray[np.int64]:
    """Pairs [M, 2] of the first position of each value with each later one."""
    codes = pd.factorize(values)[0]
    first = np.unique(codes, return_index=True)[1][codes] if len(codes) else codes
    later = np.flatnonzero(first != np.arange(len(codes)))
    return np.stack([first[later], later], axis=1).astype(np.int64)


def _unpack(phash: pd.Series) -> NDArray[np.uint64]:
    """Hexadecimal hashes as [N, 4] words."""
    return np.frombuffer(bytes.fromhex("".join(phash)), np.uint64).reshape(-1, WORDS)
