"""A folder of generated images as a data set of its own: fakes of one source, with a manifest.

<folder>/images/000000.png …
        /manifest.parquet, manifest.json      written last: a folder without them holds no data set
"""

import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, JpegImagePlugin

from dfd import __version__
from dfd.config.typed import list_assignment
from dfd.data.decode import open_image, read_bytes
from dfd.data.duplicates import group_images
from dfd.data.inspect import describe_all
from dfd.data.manifest import COLUMNS, HEADER, SPLITS, Manifest, fingerprint
from dfd.data.sources.base import FAKE
from dfd.data.splits import check_fractions, deal
from dfd.errors import UserError
from dfd.files import FULL

IMAGES = "images"
MARK = "gan:"  # how `data.add` names the samples of a run
REDRAWN = "redrawn"  # the source of every drawing, whose photographs it is of notwithstanding
IMITATED = ("JPEG", "MPO", "PNG", "BMP")  # formats that a redrawn image can be saved in as its original was
NEAR_BITS = 32  # the usual data.near_duplicate_bits: samples this alike stay in one split


@dataclass(frozen=True)
class Form:
    """The form that samples are saved in: file format, JPEG quality, and side in pixels (None: as they are)."""

    format: str = "png"
    quality: int = 95
    side: int | None = None

    def encode(self, pixels: np.ndarray) -> bytes:
        """The file's content for an image uint8 RGB [H, W, 3]."""
        image = Image.fromarray(pixels)
        if self.side is not None and image.size != (self.side, self.side):
            image = image.resize((self.side, self.side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, self.format, **({"quality": self.quality} if self.format == "jpeg" else {}))
        return buffer.getvalue()


def write_samples(
    folder: Path,
    parts: Iterable[np.ndarray],
    form: Form,
    *,
    name: str,
    fractions: Sequence[float],
    seed: int,
    about: dict[str, Any],
    workers: int = -1,
) -> Manifest:
    """Save images, which come in parts uint8 [b, H, W, 3], and their manifest; `name` becomes their source.

    `fractions` are the shares of train, val and test; `about` goes into the header. If the disk is full the images
    written so far are removed again, since the same ones can be made at any time: raises UserError.
    """
    check_fractions("fractions", fractions)
    with _begun_anew(folder, ", or lower n"):
        _write_images(folder / IMAGES, parts, form)
        table = _described(folder, name, workers)
        table["group"], duplicates = group_images(table, NEAR_BITS)
        table["split"] = np.array(SPLITS, dtype=object)[deal(table, fractions, seed)]
        return _saved(folder, table, name, duplicates, about)


def write_redrawn(
    folder: Path,
    parts: Iterable[tuple[pd.Series, np.ndarray]],
    originals: Manifest,
    *,
    name: str,
    about: dict[str, Any],
    workers: int = -1,
) -> Manifest:
    """Save images that were made of those of `originals`, and their manifest, which is called `name`.

    Their source is `REDRAWN` for any data set: a detector with a unit for each source then has one for drawing, which
    pairs from several populations keep from learning who is shown.

    `parts`: a row of that manifest, its format one of IMITATED, and an image uint8 [H, W, 3] made of its own. It gets
    split, group and file format of its original, and of a JPEG the quantisation, subsampling and whether it is grey, so
    that none of these tells them apart. Of what a camera writes into a file nothing is kept. If the disk is full the
    images written so far are removed again: raises UserError.
    """
    with _begun_anew(folder, ""):
        (folder / IMAGES).mkdir(parents=True)
        rows = []
        for number, (row, pixels) in enumerate(parts):
            write_like(originals.file(row["path"]), pixels, folder / IMAGES / f"{number:09}")
            rows.append(row)
        table = _described(folder, REDRAWN, workers)
        origin = pd.DataFrame(rows, index=table.index)
        table = table.assign(split=origin["split"], group=origin["group"])
        return _saved(folder, table, name, {}, {**about, "of": originals.fingerprint})


def how_to_add(run: Path) -> str:
    """What to type to train on the samples of a run."""
    return f"dfd train, on the same data, with {list_assignment('data.add', [f'{MARK}{run}'])}"


def load_samples(named: str) -> Manifest:
    """The manifest that gan:RUN in `data.add` names. Raises UserError if there is none, or its images are gone."""
    run = Path(named.removeprefix(MARK))
    folder = next((place for place in (run, run / "samples") if (place / HEADER).is_file()), None)
    if folder is None:
        raise UserError(
            f"data.add={named}: there are no samples in {run}; accepted is a run of `dfd gan generate`, "
            "`gan train` or `gan redraw`"
        )
    manifest = Manifest.load(folder)
    gone = [path for path in manifest.table["path"] if not (folder / path).is_file()]
    if gone:
        raise UserError(f"data.add={named}: {len(gone):,} of its images are gone, such as {folder / gone[0]}")
    return replace(manifest, header={**manifest.header, "root": str(folder.resolve())})  # the folder may have moved


def _write_images(folder: Path, parts: Iterable[np.ndarray], form: Form) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix, number = {"png": "png", "jpeg": "jpg"}[form.format], 0
    for part in parts:
        for pixels in part:
            (folder / f"{number:06}.{suffix}").write_bytes(form.encode(pixels))
            number += 1


def write_like(original: Path, pixels: np.ndarray, target: Path) -> None:
    """Save an image uint8 [H, W, 3] as its original is saved, under `target` with that format's suffix."""
    image, source = Image.fromarray(pixels), open_image(read_bytes(original), max_pixels=2**31)
    image = image.convert("L") if source.mode == "L" else image
    if isinstance(source, JpegImagePlugin.JpegImageFile):
        tables = [source.quantization[number] for number in sorted(source.quantization)]
        image.save(target.with_suffix(".jpg"), qtables=tables, subsampling=JpegImagePlugin.get_sampling(source))
    else:
        assert source.format
        image.save(target.with_suffix(f".{source.format.lower()}"))


@contextmanager
def _begun_anew(folder: Path, advice: str) -> Iterator[None]:
    """Without what was in the folder before, which is no data set any more. Raises UserError if the disk is full."""
    (folder / HEADER).unlink(missing_ok=True)
    shutil.rmtree(folder / IMAGES, ignore_errors=True)
    try:
        yield
    except OSError as error:
        shutil.rmtree(folder / IMAGES, ignore_errors=True)
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{folder}: {error.strerror} while the samples were written; they are removed again. Make room{advice}"
        ) from None


def _described(folder: Path, name: str, workers: int) -> pd.DataFrame:
    """What there is to know of the images that were written, but for group and split."""
    paths = sorted((folder / IMAGES).iterdir())
    table = pd.DataFrame(map(asdict, describe_all(paths, max_pixels=2**31, workers=workers))).drop(columns="error")
    table["path"] = [f"{IMAGES}/{path.name}" for path in paths]
    return table.assign(label=np.int8(FAKE), source=name)


def _saved(folder: Path, table: pd.DataFrame, name: str, duplicates: dict[str, int], about: dict[str, Any]) -> Manifest:
    table = table[list(COLUMNS)]
    header = {
        "name": name,
        "module": "gan",
        "root": str(folder.resolve()),
        "fingerprint": fingerprint(table),
        "images": len(table),
        "unusable": 0,
        "dropped": 0,
        "duplicates": duplicates,
        "notes": [],
        "about": about,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
    }
    manifest = Manifest(table, header, folder)
    manifest.save(folder)
    return manifest
