"""Penultimate features of whole data sets, computed once and kept on disk.

A folder of the cache belongs to one network, one preprocessing, one precision and one set of image contents; each of
these is in its name as part of a hash. So nothing in it is ever out of date: a changed image, network or setting has
another folder, and so has a changed way of computing (`PIPELINE`). Rows are found by the sha256 of their image, not by
their place.

<root>/features/<data set>/<hash>/features.npy     float32 [N, F], NaN where the image can't be used; read memory-mapped
                                  rows.parquet     sha256 and error of each row
                                  about.json       what it belongs to; written last
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.transforms import Preprocessing
from dfd.files import allocate, make_room, replacing, told, write_text
from dfd.inference.forward import Network, compute, in_precision
from dfd.models.detector import Backbone
from dfd.models.lora import without_idle
from dfd.runtime import Runtime

try:
    import fcntl
except ImportError:  # not on Windows, where two processes may compute the same features twice
    fcntl = None  # type: ignore[assignment]

FEATURES, ROWS, ABOUT = "features.npy", "rows.parquet", "about.json"
PIPELINE = 1  # raise it when the same file, network and settings would give other features
ROWS_AT_ONCE = 16_384  # images whose features are in memory at once

Change = Callable[[np.ndarray], np.ndarray]


class Featured(Network, Protocol):
    """A network with features: a detector, or an extractor. `backbone` is the part that they come from."""

    backbone: Backbone
    preprocessing: Preprocessing
    width: int

    def features(self, images: torch.Tensor, /) -> torch.Tensor:
        """Features [N, width] of preprocessed images [N, 3, H, W]."""


@dataclass(frozen=True)
class Cached:
    """Features of images of a manifest."""

    folder: Path
    computed: bool  # False: nothing but the cache was read
    features: np.ndarray  # [N, F] float32, memory-mapped, in the order of `rows`
    rows: pd.DataFrame  # sha256, error

    def of(self, sha256: pd.Series) -> tuple[np.ndarray, dict[int, str]]:
        """Features float32 [n, F] of images by their sha256, and by row the reasons for those without."""
        place = pd.Series(np.arange(len(self.rows)), index=self.rows["sha256"])
        places = place[~place.index.duplicated()].loc[sha256].to_numpy()
        errors = self.rows["error"].iloc[places]
        told = {row: str(error) for row, error in enumerate(errors) if isinstance(error, str) and error}
        return np.asarray(self.features[places]), told


def features_of(
    detector: Featured,
    manifest: Manifest,
    data_root: Path,
    max_pixels: int,
    batch_size: int,
    runtime: Runtime,
    label: str | None = None,
    *,
    test: bool = False,
    wanted: "pd.Series[str] | None" = None,
    change: Change | None = None,
    change_name: str = "",
) -> Cached:
    """Features of images of `manifest`, from the cache under `data_root` or computed into it.

    `test` says which: the images of the test split, or all others. They are kept apart, so that training never reads an
    image of the test split. Of these only the images of the sha256 in `wanted`, if they are given and the features of
    all are not there yet. `change` is applied to each image first (see `Images`); `change_name` says what it is, and
    is part of the key.
    Raises UserError if there is no room on the disk. Two processes don't compute the same: the second one waits.
    """
    table = manifest.table[(manifest.table["split"] == "test") == test].drop_duplicates("sha256", ignore_index=True)
    about = {
        "pipeline": PIPELINE,
        "network": digest_of(detector),
        "width": detector.width,
        "preprocessing": detector.preprocessing.to_dict(),
        "change": change_name,
        "precision": f"{runtime.precision_of(detector.cpu_bf16)} on {runtime.device.type}",
        "max_pixels": max_pixels,
    }
    place = data_root / "features" / manifest.name
    about, folder = _named(about, table, place)
    if wanted is not None and not runtime.broadcast(_is_whole(folder)):
        table = table[table["sha256"].isin(wanted)].reset_index(drop=True)
        about, folder = _named(about, table, place)
    computed = False
    with _alone(folder, runtime):
        if not runtime.broadcast(_is_whole(folder)):
            computed = True
            paths = [manifest.file(path) for path in table["path"]]
            images = Images(paths, detector.preprocessing, max_pixels, change=change)
            _compute(folder, detector, images, table["sha256"], batch_size, runtime, label)
            if runtime.is_main:
                write_text(folder / ABOUT, json.dumps({**about, "data": manifest.name}, indent=1) + "\n")
            runtime.wait()
    return Cached(folder, computed, np.load(folder / FEATURES, mmap_mode="r"), pd.read_parquet(folder / ROWS))


def _named(about: dict[str, Any], table: pd.DataFrame, place: Path) -> tuple[dict[str, Any], Path]:
    """`about` features of the images of `table`, and their folder."""
    about = {**about, "images": _digest(sorted(table["sha256"]))}
    return about, place / _digest(about)[:24]


def digest_of(detector: Featured) -> str:
    """Names the backbone by its weights; the head has no part in the features."""
    digest = hashlib.sha256(f"{type(detector.backbone).__name__}({detector.backbone.extra_repr()})".encode())
    for key, value in sorted(without_idle(detector.backbone.state_dict()).items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _is_whole(folder: Path) -> bool:
    """about.json comes last. A file cut short by hand or by a failing disk is computed again, and so are features of
    images of which some could not be read: next time they may, as when a disk was not mounted.
    """
    try:
        features, rows = np.load(folder / FEATURES, mmap_mode="r"), pd.read_parquet(folder / ROWS)
        return (folder / ABOUT).is_file() and len(features) == len(rows) and (rows["error"] == "").all()
    except (OSError, ValueError, EOFError, KeyError):  # pyarrow's errors are OSError and ValueError
        return False


def _compute(
    folder: Path,
    detector: Featured,
    images: Images,
    sha256: pd.Series,
    batch_size: int,
    runtime: Runtime,
    label: str | None,
) -> None:
    total = len(images)
    errors: dict[int, str] = {}
    function = in_precision(detector, detector.features, runtime)
    runtime.on_main(lambda: make_room(folder, total * detector.width * 4, "the features take"))
    with _writing(folder / FEATURES, (total, detector.width), runtime) as target:
        for start in range(0, total, ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, total))
            values, unusable = compute(function, images, (detector.width,), batch_size, runtime, label, rows)
            errors |= unusable
            if target is not None:
                target[rows.start : rows.stop] = values
    if runtime.is_main:
        table = pd.DataFrame({"sha256": sha256, "error": [errors.get(row, "") for row in range(total)]})
        with replacing(folder / ROWS) as temporary:
            table.to_parquet(temporary, index=False)


@contextmanager
def _writing(path: Path, shape: tuple[int, int], runtime: Runtime) -> Iterator[np.ndarray | None]:
    """On the main rank an array on disk that takes its name if the block ends well; None on the others."""
    if not runtime.is_main:
        yield None
        return
    with replacing(path) as temporary:
        target = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        with told(path):
            allocate(temporary)
            yield target
            target.flush()


@contextmanager
def _alone(folder: Path, runtime: Runtime) -> Iterator[None]:
    """Keep other processes from computing the same; ranks of one run go in together."""
    if fcntl is None or not runtime.is_main:
        runtime.wait()
        yield
        return
    with told(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = open(folder.parent / f"{folder.name}.lock", "w")  # noqa: SIM115  # closed below
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("waiting      for another process that computes the same features", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        runtime.wait()
        yield
