"""The two sets of images that `dfd eval fid=…` compares: of a GAN and its data, or of two folders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dfd.commands.data import data_config, prepared_own
from dfd.config import DataConfig, FidConfig
from dfd.data.decode import UnusableImage, open_image, read_bytes, read_image
from dfd.data.discover import find_images
from dfd.data.manifest import Manifest
from dfd.data.names import to_text
from dfd.data.pixels import reals_of
from dfd.errors import UserError
from dfd.gan import storage
from dfd.gan.sampling import draw
from dfd.inference.distances import ImageSet, Square, features_of_files, features_of_rows, features_of_samples
from dfd.inference.extractors import Extractor
from dfd.runtime import Runtime

FEWEST, MOST = 1_000, 50_000  # samples, where their number is not given
Picture = tuple[str, np.ndarray | None]  # name, and pixels at the size that was compared


@dataclass(frozen=True)
class Compared:
    """Two sets and what is needed to judge them.

    `training` [t, d]: features of the images that samples may be copies of. `held_out`: of reals that are not among
    them; None: each training image against the others takes their place. Pictures are found by row.
    """

    real: ImageSet
    fake: ImageSet
    training: np.ndarray
    held_out: np.ndarray | None
    square: Square
    about: dict[str, Any]
    errors: dict[str, str]
    fake_picture: Callable[[int], Picture]
    training_picture: Callable[[int], Picture]


def samples_and_reals(fid: FidConfig, extractor: Extractor, runtime: Runtime) -> Compared:
    """Fresh samples of a GAN, and the real images of the data set that it was trained on."""
    saved = storage.load(storage.find(fid.run, setting="fid.run"))
    try:
        data = data_config(saved.data)
    except ValueError as error:
        raise UserError(f"the GAN {saved.name} does not say what it was trained on: {error}") from None
    manifest = _manifest(data, runtime)
    square = Square(fid.resolution or saved.resolution, fid.filter)
    rows = {split: reals_of(manifest, split, saved.resolution) for split in dict.fromkeys((fid.split, "train", "val"))}
    if runtime.is_main:
        print(f"GAN          {saved.name}, {saved.resolution} px{'' if fid.run else ' (the newest)'}")
        print(f"data         {manifest.name} {manifest.fingerprint}, {len(rows[fid.split]):,} reals of {fid.split}")
        if manifest.fingerprint != saved.fingerprint:
            print(f"             the GAN was trained when the data were {saved.fingerprint}: they have changed")
    if rows[fid.split].empty or rows["train"].empty:
        lacking = fid.split if rows[fid.split].empty else "train"
        raise UserError(f"fid.split={fid.split}: data set {manifest.name!r} has no real images in {lacking}")
    read = partial(
        features_of_rows,
        extractor,
        manifest,
        square=square,
        data_root=Path(data.root),
        max_pixels=data.max_pixels,
        batch_size=fid.batch_size,
        runtime=runtime,
    )
    sets = {split: read(rows=each) for split, each in rows.items()}
    real, training, held_out = sets[fid.split], sets["train"], sets["val"]
    _check_count(real, f"real images in {fid.split}")
    _check_count(training, "real images in train")
    n = fid.n or min(max(len(real.features), FEWEST), MOST)
    runtime.place(saved.generator)

    def images(count: int, start: int) -> Iterator[np.ndarray]:
        for part in draw(saved.generator, count, fid.seed, fid.trunc, runtime.device, start=start):
            yield part if square.side == saved.resolution else np.stack([square(image) for image in part])

    def fake_picture(row: int) -> Picture:
        return f"sample {row}", next(images(1, row))[0]

    def training_picture(row: int) -> Picture:
        name = training.names[row]
        return name, _picture(manifest.file(name), square, data.max_pixels)

    features = features_of_samples(extractor, images, n, fid.batch_size, runtime)
    about = {
        "data": manifest.name,
        "fingerprint": manifest.fingerprint,
        "split": fid.split,
        "gan": {"name": saved.name, "sha256": saved.sha256, "trained_on": saved.fingerprint},
        "trunc": fid.trunc,
    }
    fake = ImageSet(features, [f"sample {row}" for row in range(n)], {})
    errors = {name: reason for each in sets.values() for name, reason in each.errors.items()}
    few = len(held_out.features) < 2
    return Compared(
        real,
        fake,
        training.features,
        None if few else held_out.features,
        square,
        about,
        errors,
        fake_picture,
        training_picture,
    )


def folders(fid: FidConfig, extractor: Extractor, runtime: Runtime) -> Compared:
    """The images of two folders."""
    assert fid.real is not None and fid.fake is not None
    limit = DataConfig().max_pixels
    paths = {key: find_images([str(getattr(fid, key))]).paths for key in ("real", "fake")}
    if fid.n is not None:
        paths["fake"] = _some(paths["fake"], fid)
    side = fid.resolution or runtime.broadcast(runtime.on_main(lambda: _common_side(paths, limit)))
    square = Square(side, fid.filter)
    sets = {
        key: features_of_files(
            extractor,
            each,
            [to_text(path) for path in each],
            square,
            limit,
            fid.batch_size,
            runtime,
            f"{key} images, {extractor.name}",
        )
        for key, each in paths.items()
    }
    for key, each in sets.items():
        _check_count(each, f"images in fid.{key}={getattr(fid, key)}")
    shown = {key: dict(zip([to_text(path) for path in each], each, strict=True)) for key, each in paths.items()}

    def picture(key: str, row: int) -> Picture:
        name = sets[key].names[row]
        return name, _picture(shown[key][name], square, limit)

    return Compared(
        real=sets["real"],
        fake=sets["fake"],
        training=sets["real"].features,
        held_out=None,
        square=square,
        about={"real": str(fid.real), "fake": str(fid.fake)},
        errors=sets["real"].errors | sets["fake"].errors,
        fake_picture=partial(picture, "fake"),
        training_picture=partial(picture, "real"),
    )


def _manifest(data: DataConfig, runtime: Runtime) -> Manifest:
    try:
        return prepared_own(data, runtime)
    except UserError as error:
        hint = "name two folders, as in fid.real=FOLDER fid.fake=FOLDER"
        raise UserError(f"{error}\nThese are the data that the GAN was trained on; or {hint}") from None


def _some(paths: list[Path], fid: FidConfig) -> list[Path]:
    assert fid.n is not None
    if fid.n > len(paths):
        raise UserError(f"fid.n={fid.n}: there are {len(paths)} images in fid.fake={fid.fake}")
    chosen = np.random.default_rng(fid.seed).permutation(len(paths))[: fid.n]
    return [paths[row] for row in sorted(chosen)]


def _common_side(paths: dict[str, list[Path]], max_pixels: int) -> int:
    """The shorter side that all readable images have. Raises UserError that names two which differ."""
    first: tuple[Path, tuple[int, int]] | None = None
    for path in [*paths["real"], *paths["fake"]]:
        try:
            size = open_image(read_bytes(path), max_pixels).size
        except UnusableImage:
            continue
        first = first or (path, size)
        if min(size) != min(first[1]):
            named = [f"{each} has {width} x {height}" for each, (width, height) in (first, (path, size))]
            raise UserError(
                f"the images have different sizes: {named[0]}, {named[1]}. Sizes alone would make a distance; name the "
                f"side that all are brought to, as in fid.resolution={min(*first[1], *size)}"
            )
    if first is None:
        raise UserError(f"no image could be read: {paths['real'][0]} and the others")
    return min(first[1])


def _check_count(images: ImageSet, what: str) -> None:
    if len(images.features) < 2:
        why = next((f" ({name}: {reason})" for name, reason in images.errors.items()), "")
        raise UserError(f"there are {len(images.features)} readable {what}, and 2 are needed at the very least{why}")


def _picture(path: Path, square: Square, max_pixels: int) -> np.ndarray | None:
    try:
        return square(read_image(path, max_pixels))
    except UnusableImage:
        return None
