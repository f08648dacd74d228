"""Redrawing networks: what comes out is the picture that went in, of another making."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d

from dfd.config import REDRAWERS
from dfd.gan.redrawing import Denoiser, redrawer, redrawn

sides = st.integers(1, 41)


@given(sides, sides, st.sampled_from(REDRAWERS), st.integers(0, 9))
def test_any_size_comes_out_as_it_went_in(height: int, width: int, family: str, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(2, 3, height, width) * 2 - 1
    with torch.no_grad():
        drawn = redrawn(redrawer(family), images)
    assert drawn.shape == images.shape
    assert drawn.isfinite().all()
    assert drawn.abs().max() <= 1


@pytest.mark.parametrize("family", REDRAWERS)
def test_colours_in_the_large_stay_and_pixels_change(family: str) -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 8, 8).mul(0.8).sub(0.4).repeat_interleave(12, 2).repeat_interleave(12, 3)
    with torch.no_grad():
        drawn = redrawn(redrawer(family), images)
    change = (drawn - images).abs().mean()
    large = (avg_pool2d(drawn, 32) - avg_pool2d(images, 32)).abs().mean()
    assert change > 0.002
    assert large < 0.25 * change


@pytest.mark.parametrize("family", REDRAWERS)
def test_what_is_drawn_is_as_sharp_as_the_photograph(family: str) -> None:
    """The difference of neighbours, mean squared; a picture of each sharpness, and one that is flat stays nearly so."""
    torch.manual_seed(0)
    texture = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 24) - 0.5, size=96, mode="bicubic")
    images = torch.cat([texture + 0.3 * (torch.rand(1, 3, 96, 96) - 0.5), texture, 0.05 * texture])
    with torch.no_grad():
        drawn = redrawn(redrawer(family), images)
    ratio = _steps(drawn) / _steps(images)
    assert ratio[:2].min() > 0.7
    assert ratio[:2].max() < 1.5
    assert drawn[2].std() < 0.1


def _steps(images: torch.Tensor) -> torch.Tensor:
    return images.diff(dim=3).square().mean(dim=(1, 2, 3)).sqrt()


@pytest.mark.parametrize("family", REDRAWERS)
def test_each_family_learns(family: str) -> None:
    """Faint blocks of one colour: after some steps the loss on the same images and noise is clearly lower."""
    torch.manual_seed(0)
    network = redrawer(family)
    images = (torch.rand(4, 3, 4, 4) * 0.2 - 0.1).repeat_interleave(8, 2).repeat_interleave(8, 3)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def loss(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return network.loss(images)

    before = float(loss(0).detach())
    for step in range(80 if family == "denoised" else 30):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
    assert float(loss(0).detach()) < 0.8 * before


def test_denoising_ends_at_the_picture_if_the_noise_is_known() -> None:
    """With the true noise in place of the network's guess, the steps lead back to where they began."""
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    network = Denoiser()
    network.noise_in = lambda noisy, deviation: (noisy - images) / deviation  # type: ignore[method-assign]
    assert np.allclose(network.draw(images), images, atol=1e-5)


def test_the_same_seed_draws_the_same() -> None:
    network = redrawer("denoised").eval()
    images = torch.rand(1, 3, 24, 24) * 2 - 1
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        with torch.no_grad():
            drawn.append(redrawn(network, images))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
