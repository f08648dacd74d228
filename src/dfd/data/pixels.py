"""All images of some rows as one array of small squares, decoded once and kept on the disk.

<root>/pixels/<data set>/<hash>.npy     uint8 RGB [N, side, side, 3], read memory-mapped

The hash is over the images' contents, the side and the filter, so nothing in it is ever out of date.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfd.data.dataset import Images, batches_of, loader
from dfd.data.manifest import Manifest, changed_since
from dfd.data.transforms import Preprocessing
from dfd.files import allocate, make_room, replacing, told
from dfd.runtime import Runtime

FILTER = "lanczos"
BATCH = 64


def reals_of(manifest: Manifest, split: str, side: int) -> pd.DataFrame:
    """Real images of a split, or of 'all', that a GAN of this resolution can learn from; smaller ones it can't."""
    table = manifest.table
    rows = table[(table["label"] == 0) & ((table["split"] == split) | (split == "all"))]
    return rows[rows[["width", "height"]].min(axis=1) >= side].reset_index(drop=True)


def pixels_of(
    manifest: Manifest, rows: pd.DataFrame, side: int, data_root: Path, max_pixels: int, runtime: Runtime
) -> np.ndarray:
    """The middle square of each image, resized to `side`: uint8 [N, side, side, 3] in the order of `rows`.

    One rank does it, the others wait. Raises UserError if an image can't be read any more.
    """
    key = json.dumps([list(rows["sha256"]), side, FILTER, 1])
    path = data_root / "pixels" / manifest.name / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    runtime.on_main(lambda: _make(path, manifest, rows, side, max_pixels, runtime.workers))
    return np.load(path, mmap_mode="r")


def _make(path: Path, manifest: Manifest, rows: pd.DataFrame, side: int, max_pixels: int, workers: int) -> None:
    if path.is_file():
        return
    files = [manifest.file(one) for one in rows["path"]]
    images = Images(files, as_pixels(side), max_pixels)
    batches = batches_of(range(len(files)), BATCH)
    make_room(path.parent, len(files) * side * side * 3, "the images take")
    with (
        told(path),
        replacing(path) as temporary,
        tqdm(total=len(files), desc="reading images", unit="img", disable=None) as bar,
    ):
        target = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(len(files), side, side, 3))
        allocate(temporary)
        for batch in loader(images, batches, min(workers, len(batches) - 1)):
            for row, reason in batch.errors.items():
                raise changed_since(files[row], reason)
            target[batch.rows.numpy()] = batch.inputs.permute(0, 2, 3, 1).numpy()
            bar.update(len(batch.rows))
        target.flush()


def as_pixels(side: int) -> Preprocessing:
    """What a GAN sees of an image: its middle square at `side` pixels, values brought to -1..1."""
    return Preprocessing(side, "square", FILTER, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
