"""Sets of images as features to be compared: files through the cache or as they are, and arrays from a generator."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.transforms import Preprocessing
from dfd.inference.cache import features_of
from dfd.inference.extractors import Extractor
from dfd.inference.forward import compute, in_precision
from dfd.runtime import Runtime


@dataclass(frozen=True)
class Square:
    """Brings an image to a size: its centre square, resized to `side` pixels. Picklable."""

    side: int
    filter: str

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 RGB [H, W, 3] to uint8 RGB [side, side, 3]."""
        return Preprocessing(self.side, "square", self.filter, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))(image)

    def __str__(self) -> str:
        return f"centre square, {self.side} px, {self.filter}"


@dataclass(frozen=True)
class ImageSet:
    """Features float32 [n, d] of the images that could be used, what they are, and the files that could not: why."""

    features: np.ndarray
    names: list[str]
    errors: dict[str, str]


def features_of_rows(
    extractor: Extractor,
    manifest: Manifest,
    rows: pd.DataFrame,
    square: Square,
    data_root: Path,
    max_pixels: int,
    batch_size: int,
    runtime: Runtime,
) -> ImageSet:
    """Features of some rows of a manifest, from the cache under `data_root` or computed into it.

    The cache holds the real images of the test split, or those of the other splits: the rows have to be real.
    """
    real = manifest.table[manifest.table["label"] == 0].reset_index(drop=True)
    reals = Manifest(real, manifest.header, manifest.folder)
    features = np.full((len(rows), extractor.width), np.nan, np.float32)
    errors: dict[int, str] = {}
    for test in (False, True):
        places = np.flatnonzero((rows["split"] == "test").to_numpy() == test)
        if not len(places):
            continue
        cached = features_of(
            extractor,
            reals,
            data_root,
            max_pixels,
            batch_size,
            runtime,
            f"real images, {extractor.name}",
            test=test,
            change=square,
            change_name=str(square),
        )
        features[places], unusable = cached.of(rows["sha256"].iloc[places])
        errors |= {int(places[row]): reason for row, reason in unusable.items()}
    return _usable(features, list(rows["path"]), errors)


def features_of_files(
    extractor: Extractor,
    paths: Sequence[Path],
    names: Sequence[str],
    square: Square,
    max_pixels: int,
    batch_size: int,
    runtime: Runtime,
    label: str,
) -> ImageSet:
    """Features of image files."""
    images = Images(paths, extractor.preprocessing, max_pixels, change=square)
    function = in_precision(extractor, extractor.features, runtime)
    features, errors = compute(function, images, (extractor.width,), batch_size, runtime, label)
    return _usable(features, list(names), errors)


def features_of_samples(
    extractor: Extractor,
    draw: Callable[[int, int], Iterator[np.ndarray]],
    n: int,
    batch_size: int,
    runtime: Runtime,
) -> np.ndarray:
    """Features [n, d] of generated images; each rank draws its share. `draw(count, start)` gives uint8 [b, R, R, 3]."""
    share = range(n * runtime.rank // runtime.world, n * (runtime.rank + 1) // runtime.world)
    quiet = True if not runtime.is_main else None  # None: no bar in a log file
    parts = [np.empty((0, extractor.width), np.float32)]
    with tqdm(total=len(share), desc=f"samples, {extractor.name}", unit="img", disable=quiet) as bar:
        for images in draw(len(share), share.start):
            parts.append(extractor.features_of_arrays(images, batch_size))
            bar.update(len(images))
    return np.concatenate(runtime.gather([np.concatenate(parts)]))


def _usable(features: np.ndarray, names: list[str], errors: dict[int, str]) -> ImageSet:
    """A row whose features are no numbers is left out as well: it would make every figure NaN."""
    finite = np.isfinite(features).all(axis=1)
    told = {int(row): errors.get(int(row)) or "no finite features" for row in np.flatnonzero(~finite)}
    kept = [name for name, good in zip(names, finite, strict=True) if good]
    return ImageSet(features[finite], kept, {names[row]: reason for row, reason in told.items()})
