"""A data set that needs no download: patches of photographs that other packages ship, and fakes made from them.

The photographs are those in the wheels of scikit-image and scikit-learn. Patches of them are the real class. Each has
one fake counterpart from the same place, of one of two kinds:

* `demo-resynthesised`: halved and brought back by a transposed convolution, as the last layer of a generator does it.
  The kernel's phases are not quite equal, which leaves the checkerboard that such layers are known for (Odena,
  Dumoulin, Olah: Deconvolution and checkerboard artifacts, Distill 2016).
* `demo-spliced`: a region with a soft edge is replaced by one from elsewhere in the photograph, which has been
  resized, blurred, tinted and compressed on its own.

What would give the class away without being evidence of a fake is the same in both: the places, the size, the format
and two JPEG encodings, the first of a quality drawn once for both of a pair. All patches of a photograph form one
group, so a test measures photographs that training has not seen.

What it is for: to see that the toolkit works, in minutes. What it is not: faces, deepfakes, or a benchmark. A figure
on it says nothing of how well a detector does on anything else.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import convolve1d, gaussian_filter
from tqdm import tqdm

from dfd.config import DataConfig
from dfd.data.decode import read_image
from dfd.data.sources.base import FAKE, REAL, Raw
from dfd.errors import UserError

Pixels = NDArray[np.float32]  # [H, W, 3], 0..255

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
# Name of the group: files. The two motorcycles are a stereo pair. The retina is left out: nowhere in it is MIN_DETAIL.
PHOTOGRAPHS = {
    "astronaut": ["skimage/astronaut.png"],
    "brick": ["skimage/brick.png"],
    "camera": ["skimage/camera.png"],
    "chelsea": ["skimage/chelsea.png"],
    "china": ["sklearn/china.jpg"],
    "coffee": ["skimage/coffee.png"],
    "coins": ["skimage/coins.png"],
    "flower": ["sklearn/flower.jpg"],
    "grass": ["skimage/grass.png"],
    "gravel": ["skimage/gravel.png"],
    "hubble": ["skimage/hubble_deep_field.jpg"],
    "ihc": ["skimage/ihc.png"],
    "moon": ["skimage/moon.png"],
    "motorcycle": ["skimage/motorcycle_left.png", "skimage/motorcycle_right.png"],
    "rocket": ["skimage/rocket.jpg"],
}
VERSION = 2  # part of the folder's name: raise it when the patches change
SEED = 20261122
MARGIN = 16  # pixels around a patch, cut off at the end: the first JPEG's 8 x 8 grid then lies anywhere
FINAL_QUALITY = 92
MIN_DETAIL = 1.5  # mean change by halving and doubling, of 0..255: less is sky, or out of focus
GENERATORS = 4
INDEX = "patches.csv"


class Demo:
    """Sources `demo-real`, `demo-resynthesised`, `demo-spliced`; columns `photograph`, `x`, `y`."""

    archives: tuple[str, ...] = ()
    where = "nothing to get: it is made from photographs that scikit-image and scikit-learn ship"

    def find(self, raw: Path, data: DataConfig) -> Raw:
        """Make the patches below `raw` unless they are there; then list them."""
        folder = raw / f"{data.patches}-of-{data.patch_size}px-v{VERSION}"
        if not (folder / INDEX).is_file():
            _make(folder, data.patches // 2, data.patch_size)
        table = pd.read_csv(folder / INDEX, dtype={"path": object, "source": object, "photograph": object})
        return Raw(table.assign(group=table["photograph"]), folder)


def _make(folder: Path, pairs: int, size: int) -> None:
    """Write `pairs` real patches, as many fakes, and the index; the folder appears when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        for source in ("real", "resynthesised", "spliced"):
            (temporary / source).mkdir()
        rows: list[tuple[str, int, str, str, int, int]] = []
        for number, (name, count) in enumerate(zip(PHOTOGRAPHS, _shares(pairs), strict=True)):
            rng = np.random.default_rng([SEED, number])
            for patches in tqdm(_pairs_of(name, count, size, rng), name, count, disable=None, leave=False):
                for source, (jpeg, x, y) in patches.items():
                    path = f"{source}/{name}_{len(rows):06d}.jpg"
                    (temporary / path).write_bytes(jpeg)
                    label = REAL if source == "real" else FAKE
                    rows.append((path, label, f"demo-{source}", name, x, y))
        pd.DataFrame(rows, columns=["path", "label", "source", "photograph", "x", "y"]).to_csv(
            temporary / INDEX, index=False
        )
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    try:
        temporary.replace(folder)
    except OSError as error:
        if not (folder / INDEX).is_file():  # else another process was quicker
            raise UserError(f"the demo images cannot be put into {folder}: {error}") from None


def _shares(pairs: int) -> list[int]:
    """Pairs to take from each photograph: the same number, give or take one."""
    return [len(range(number, pairs, len(PHOTOGRAPHS))) for number in range(len(PHOTOGRAPHS))]


def _pairs_of(name: str, count: int, size: int, rng: Generator) -> Iterator[dict[str, tuple[bytes, int, int]]]:
    """Pairs of a real and a fake patch of one photograph, as JPEG and place; the kinds of fakes take turns."""
    views = [_load(file) for file in PHOTOGRAPHS[name]]
    for number in range(count):
        photo = views[number % len(views)]
        x, y = _place(photo, size + MARGIN, rng)
        camera = int(rng.integers(80, 98))  # JPEG quality
        shot = _jpeg(_cut(photo, x, y, size + MARGIN), camera)
        left, top = (int(offset) + MARGIN // 4 for offset in rng.integers(0, 8, 2))
        if number % 2:
            kind, fake = "spliced", _splice(shot, photo, camera, rng)
        else:
            kind, fake = "resynthesised", _resynthesise(shot, rng)
        yield {
            source: (_encode(_cut(pixels, left, top, size), FINAL_QUALITY), x + left, y + top)
            for source, pixels in (("real", shot), (kind, fake))
        }


def _resynthesise(pixels: Pixels, rng: Generator) -> Pixels:
    """Halve by averaging, as an encoder would, and double by a transposed convolution with an imperfect kernel."""
    height, width, _ = pixels.shape
    half = pixels.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    half = _sharpen(half, 1.0, rng.uniform(0.4, 0.9)) + rng.normal(0, rng.uniform(0.5, 1.5), half.shape)
    apart = np.zeros_like(pixels)
    apart[::2, ::2] = half
    generator = np.random.default_rng([SEED, 99, int(rng.integers(GENERATORS))])
    for axis in (0, 1):
        kernel = np.array([1, 3, 3, 1]) / 4 * (1 + generator.normal(0, 0.03, 4) + rng.normal(0, 0.01, 4))
        apart = convolve1d(apart, kernel * 2 / kernel.sum(), axis=axis, mode="mirror", origin=-1)
    return _sharpen(apart, 1.0, rng.uniform(0.3, 0.7))


def _splice(pixels: Pixels, photo: Pixels, camera: int, rng: Generator) -> Pixels:
    """Replace a soft-edged region by one from elsewhere in the photograph, processed on its own."""
    size = len(pixels)
    scale = rng.choice([rng.uniform(0.7, 0.9), rng.uniform(1.15, 1.6)])
    span = min(round(size / scale), *photo.shape[:2])
    donor = _jpeg(_cut(photo, *_place(photo, span, rng), span), camera)
    donor = np.asarray(_image(donor).resize((size, size), Image.Resampling.BICUBIC), np.float32)
    donor = gaussian_filter(donor, (sigma := rng.uniform(0.5, 1.2), sigma, 0))
    tint = rng.normal(0, 1, 3 if np.ptp(donor, axis=2).any() else 1)  # a grey photograph stays grey
    donor = _jpeg(donor * (1 + 0.08 * tint) + rng.normal(0, 5), int(rng.integers(50, 85)))
    mask = _region(size, rng)
    return mask * donor + (1 - mask) * pixels


def _region(size: int, rng: Generator) -> Pixels:
    """A soft-edged, turned ellipse [size, size, 1] of 0..1 that covers about 14 to 38% of the square."""
    y, x = np.mgrid[:size, :size] / size - rng.uniform(0.35, 0.65, (2, 1, 1))
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = (along / rng.uniform(0.22, 0.38)) ** 2 + (across / rng.uniform(0.2, 0.32)) ** 2 < 1
    soft: Pixels = gaussian_filter(inside.astype(np.float32), rng.uniform(1, 3))
    return soft[..., None]


def _place(photo: Pixels, size: int, rng: Generator, tries: int = 50) -> tuple[int, int]:
    """A random place (x, y) for a square with detail in it; failing that, the best one tried."""
    height, width, _ = photo.shape
    if min(height, width) < size:
        raise UserError(
            f"data.patch_size is too large: {size} pixels with the margin, a photograph has {min(height, width)}"
        )
    places = [(int(rng.integers(width - size + 1)), int(rng.integers(height - size + 1))) for _ in range(tries)]
    best, most = places[0], -1.0
    for place in places:
        detail = _detail(_cut(photo, *place, size))
        if detail >= MIN_DETAIL:
            return place
        if detail > most:
            best, most = place, detail
    return best


def _detail(pixels: Pixels) -> float:
    """Mean absolute change of grey values by averaging over 2 x 2."""
    grey = pixels.mean(axis=2)[: len(pixels) // 2 * 2, : len(pixels) // 2 * 2]
    blocks = grey.reshape(len(grey) // 2, 2, len(grey) // 2, 2)
    return float(np.abs(blocks - blocks.mean(axis=(1, 3), keepdims=True)).mean())


def _sharpen(pixels: Pixels, sigma: float, amount: float) -> Pixels:
    smooth: Pixels = gaussian_filter(pixels, (sigma, sigma, 0))
    return pixels + np.float32(amount) * (pixels - smooth)


def _cut(pixels: Pixels, x: int, y: int, size: int) -> Pixels:
    return pixels[y : y + size, x : x + size]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _encode(pixels: Pixels, quality: int) -> bytes:
    buffer = BytesIO()
    _image(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    """The pixels after JPEG."""
    return read_image(_encode(pixels, quality), pixels.size).astype(np.float32)


def _load(file: str) -> Pixels:
    """A photograph from an installed package's folder. Reads the file itself: the packages might download others."""
    package, name = file.split("/")
    spec = importlib.util.find_spec(package)
    path = Path(next(iter(spec.submodule_search_locations or ())), FOLDERS[package], name) if spec else None
    if path is None or not path.is_file():
        raise UserError(f"the demo data needs {name} from the package {package}, which is not installed or lacks it")
    return read_image(path, 10_000_000).astype(np.float32)
