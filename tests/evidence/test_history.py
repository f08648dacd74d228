from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dfd.data.decode import open_image
from dfd.evidence.evidence import examine
from dfd.evidence.history import History, history_of
from dfd.evidence.jpeg import encoding_of, structure_of
from tests.images import encoded


def natural(seed: int, side: int = 256) -> np.ndarray:
    """A picture whose detail falls with frequency as in photographs (amplitude 1 / f). uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    across, down = np.fft.fftfreq(side)[None], np.fft.fftfreq(side)[:, None]
    falling = 1 / np.maximum(np.hypot(across, down), 1 / side)
    grey = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * falling).real
    grey = 128 + 45 * (grey - grey.mean()) / grey.std()
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def again(data: bytes, quality: int, shift: int = 0) -> bytes:
    with Image.open(BytesIO(data)) as image:
        return encoded(image.convert("RGB").crop((shift, shift, *image.size)), quality=quality)


def look(data: bytes) -> History | None:
    encoding = encoding_of(structure_of(data))
    assert encoding is not None
    return history_of(open_image(data, 10**7), encoding.luma)


@pytest.mark.parametrize(("first", "last"), [(50, 75), (60, 90), (75, 85), (85, 95), (75, 70)])
def test_an_earlier_compression_is_found_and_its_quality_told(first: int, last: int) -> None:
    found = look(again(encoded(natural(1), quality=first), last))
    assert found is not None and found.found and abs(found.quality - first) <= 3


@pytest.mark.parametrize("quality", [50, 65, 75, 85, 95])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_single_compression_gives_no_hint(quality: int, seed: int) -> None:
    found = look(encoded(natural(seed), quality=quality))
    assert found is not None and not found.found


def test_on_another_grid_nothing_shows() -> None:
    found = look(again(encoded(natural(1), quality=60), 90, shift=3))
    assert found is not None and not found.found


@pytest.mark.parametrize("grey", [True, False])
def test_grey_pictures_too(grey: bool) -> None:
    image = Image.fromarray(natural(1)).convert("L" if grey else "RGB")
    data = encoded(image, quality=60)
    with Image.open(BytesIO(data)) as decoded:
        found = look(encoded(decoded, quality=90))
    assert found is not None and found.found


@pytest.mark.parametrize(
    ("score", "coefficients", "found"), [(0.02, 10_000, True), (0.02, 500, False), (0.005, 10**6, False)]
)
def test_a_hint_takes_clear_traces_and_enough_of_them(score: float, coefficients: int, found: bool) -> None:
    assert History(75, score, coefficients).found == found


def test_too_small_or_too_flat_to_tell() -> None:
    assert look(encoded(natural(1, 64))) is None
    flat = look(again(encoded(np.full((256, 256, 3), 90, np.uint8), quality=50), 90))
    assert flat is not None and not flat.found


def test_the_finding_is_called_a_hint() -> None:
    findings = examine(again(encoded(natural(1), quality=60), 90), 10**6).findings
    (found,) = (each for each in findings if each.topic == "history")
    assert found.words.startswith("A hint") and found.level == "plain" and "no sign of forgery" in found.words
