"""What is measured at a tick: the samples of one seed against the real images, and the pictures of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dfd.config import FidConfig
from dfd.evaluation.frechet import frechet_distance
from dfd.gan.generator import Generator, GeneratorShape
from dfd.gan.sampling import draw
from dfd.training.gan_watch import Watch
from tests.shapes import shapes

CPU = torch.device("cpu")


class Small:
    """An extractor of mean colours in 16 places."""

    label = "FD(small)"

    def features_of_arrays(self, images: np.ndarray, _: int) -> np.ndarray:
        n, side = images.shape[:2]
        return images.reshape(n, 4, side // 4, 4, side // 4, 3).mean(axis=(2, 4)).reshape(n, -1).astype(np.float32)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(GeneratorShape(resolution=32, latent=16, mapping_layers=1, channel_base=256, channel_max=8))


def watch(folder: Path, **fid: object) -> Watch:
    config = FidConfig(name="small", backbone="small", **{"n": 40, "subsets": 10, **fid})
    return Watch(Small(), shapes(60, seed=0), config, 7, folder, CPU)  # type: ignore[arg-type]


def test_the_figures_are_those_of_the_seeds_samples(generator: Generator, tmp_path: Path) -> None:
    found = watch(tmp_path)(generator, 0.016)
    fake = np.concatenate(list(draw(generator, 40, 7, 1.0, CPU)))
    wanted = frechet_distance(Small().features_of_arrays(shapes(60, seed=0), 0), Small().features_of_arrays(fake, 0))
    assert found["fd"] == pytest.approx(wanted, rel=1e-6)
    assert found == watch(tmp_path)(generator, 0.032)


def test_the_pictures_are_named_by_the_images_shown(generator: Generator, tmp_path: Path) -> None:
    watch(tmp_path)(generator, 1234.5)
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"reals.png", "samples-001234500.png", "strips-001234500.png"}
    assert Image.open(tmp_path / "pictures" / "samples-001234500.png").size == (8 * 33 - 1, 6 * 33 - 1)


def test_truncation_lowers_the_diversity(generator: Generator, tmp_path: Path) -> None:
    assert watch(tmp_path, trunc=0.1)(generator, 1)["diversity"] < watch(tmp_path)(generator, 1)["diversity"]


def test_what_so_few_samples_cannot_tell_is_no_number(generator: Generator, tmp_path: Path) -> None:
    found = watch(tmp_path, n=2)(generator, 1)
    assert math.isnan(found["kid"])
    assert found["fd"] > 0
