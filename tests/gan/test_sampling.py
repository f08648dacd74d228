from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as some
from PIL import Image

from dfd.gan import pictures
from dfd.gan.generator import Generator, GeneratorShape
from dfd.gan.sampling import BLOCK, draw, to_images, to_pixels

SHAPE = GeneratorShape(resolution=32, latent=16, mapping_layers=1, channel_base=256, channel_max=8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(SHAPE)
    with torch.no_grad():  # as after some training: noise counts
        for name, parameter in made.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
    return made


def drawn(generator: Generator, n: int, seed: int = 0, truncation: float = 1.0, start: int = 0) -> np.ndarray:
    return np.concatenate(list(draw(generator, n, seed, truncation, CPU, start)))


@settings(max_examples=25)
@given(n=some.integers(1, 2 * BLOCK + 3), start=some.integers(0, 2 * BLOCK))
@example(n=1, start=0)
@example(n=BLOCK, start=BLOCK)
@example(n=2, start=BLOCK - 1)
@example(n=2 * BLOCK + 3, start=2 * BLOCK)
def test_an_image_depends_on_its_number_and_the_seed_alone(generator: Generator, n: int, start: int) -> None:
    whole = _whole(generator)
    assert np.array_equal(drawn(generator, n, start=start), whole[start : start + n])


_kept: dict[int, np.ndarray] = {}


def _whole(generator: Generator) -> np.ndarray:
    return _kept.setdefault(id(generator), drawn(generator, 5 * BLOCK))


def test_other_seeds_are_other_images(generator: Generator) -> None:
    assert not np.array_equal(drawn(generator, 4, seed=1), drawn(generator, 4, seed=2))


def test_each_image_has_noise_of_its_own(generator: Generator) -> None:
    """A noise that all images shared would be a mark of the drawing, not of the generator."""
    alike = drawn(generator, 8, truncation=0.0)  # one w for all
    assert len(np.unique(alike.reshape(8, -1), axis=0)) == 8


def test_drawing_leaves_the_random_state_alone(generator: Generator) -> None:
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    drawn(generator, 3)
    assert torch.equal(torch.rand(3), first)


def test_pixels_and_images_are_inverse() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    assert np.array_equal(to_pixels(to_images(levels)), levels.permute(0, 2, 3, 1).numpy())
    assert to_pixels(torch.full((1, 3, 1, 1), 7.0)).max() == 255


def test_a_grid_holds_every_image_in_its_place(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (5, 4, 6, 3), dtype=np.uint8)
    picture = pictures.grid(images, columns=3)
    assert picture.shape == (9, 20, 3)
    assert np.array_equal(picture[5:9, 7:13], images[4])
    assert (picture[5:, 14:] == 255).all()
    pictures.save_picture(tmp_path / "a.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


def test_strips_start_at_their_ends(generator: Generator) -> None:
    """The latents are fixed: the picture is the same each time, and its rows go from one image to another."""
    one, two = pictures.strips(generator, 0, CPU), pictures.strips(generator, 0, CPU)
    assert np.array_equal(one, two)
    assert one.shape == (3 * 33 - 1, 20 * 33 - 1, 3)
