"""Latent inversion: an image that the generator made is found again, and the closeness is measured as it says."""

import pytest
import torch
from torch import Tensor

from dfd.gan.generator import Generator, GeneratorShape
from dfd.gan.projection import closeness, nearest_start, project
from dfd.gan.sampling import latents

SHAPE = GeneratorShape(resolution=32, latent=16, mapping_layers=1, channel_base=256, channel_max=8)


def looks(images: Tensor) -> list[Tensor]:
    return [torch.nn.functional.avg_pool2d(images, 4)]


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(SHAPE).eval().requires_grad_(False)


def own_images(generator: Generator, n: int, seed: int) -> Tensor:
    return generator(latents(n, 16, seed), noise="fixed")


def test_closeness_is_zero_for_the_image_itself_and_grows_with_the_error(generator: Generator) -> None:
    image = own_images(generator, 2, 0)
    same = closeness(image, image, looks(image), looks)
    assert same.pixels.max() < 1e-5
    assert same.looks.max() < 1e-6
    apart = closeness(image + 0.2, image, looks(image), looks)
    assert torch.allclose(apart.pixels, torch.full((2,), 0.1), atol=1e-3)  # a tenth of the range 0..1


def test_the_start_is_the_nearest_of_the_random_images(generator: Generator) -> None:
    """Among the starts are the targets themselves: each is given back, whatever its place in a block."""
    with torch.no_grad():
        every = generator.map(latents(256, 16, 7))
        targets = generator.synthesize(every[[3, 77, 200]], noise="fixed")
        start = nearest_start(generator, targets, looks(targets), looks, 1.0, seed=7)
    assert torch.allclose(start, every[[3, 77, 200]], atol=1e-5)


@pytest.mark.parametrize("per_layer", [False, True])
def test_an_image_of_the_generator_is_found_again(generator: Generator, per_layer: bool) -> None:
    target = own_images(generator, 2, 99)
    steps = list(project(generator, target, looks, steps=60, lr=0.05, per_layer=per_layer, perceptual=1.0, seed=0))
    first, last = steps[0][1], steps[-1][1]
    assert (last.pixels < first.pixels / 2).all()
    w = steps[-1][0]
    assert w.shape == (2, generator.layers, 16)
    assert torch.equal(w[:, 0], w[:, -1]) is not per_layer
