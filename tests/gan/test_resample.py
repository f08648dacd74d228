import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import upfirdn
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dfd.gan.resample import Blur, Down, Up

TAPS = np.array([1, 3, 3, 1]) / 8
PARTS = [Blur(padding=1), Blur(padding=2, gain=4.0), Down(), Up()]


def images(height: int = 6, width: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def along_both(x: Tensor, taps: np.ndarray, up: int, down: int, before: int, after: int) -> Tensor:
    """Zeros around, zero-stuffing, filter and decimation by scipy, one axis after the other."""
    for axis in (2, 3):
        padding = [(0, 0)] * 4
        padding[axis] = (before, after)
        stuffed = upfirdn([1.0], x.numpy(), up=up, axis=axis)
        stuffed = np.pad(stuffed, [(0, 0) if i != axis else (0, up - 1) for i in range(4)])
        full = upfirdn(taps, np.pad(stuffed, padding), axis=axis)
        inner = [slice(None)] * 4
        inner[axis] = slice(3, -3, down)
        x = torch.from_numpy(full[tuple(inner)])
    return x


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_blur_is_the_filter_with_zeros_around(padding: int) -> None:
    blurred = Blur(padding, gain=4.0).double()(images())
    assert torch.allclose(blurred, 4 * along_both(images(), TAPS, 1, 1, padding, padding))


def test_down_is_the_filter_and_every_second_pixel() -> None:
    assert torch.allclose(Down().double()(images()), along_both(images(), TAPS, 1, 2, 1, 1))


def test_up_is_zeros_between_pixels_and_the_filter() -> None:
    assert torch.allclose(Up().double()(images()), along_both(images(), 2 * TAPS, 2, 1, 2, 1))


def test_a_constant_stays_inside_and_the_highest_frequency_goes() -> None:
    flat, checkered = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    checkered[..., ::2] = -1
    for part in (Down(), Up(), Blur(padding=1)):
        assert torch.allclose(part(flat)[..., 2:-2, 2:-2], torch.ones(()))
    assert torch.allclose(Down()(checkered)[..., 1:-1], torch.zeros(()), atol=1e-6)


@pytest.mark.parametrize("part", PARTS, ids=["blur", "blur with gain", "down", "up"])
def test_gradients_of_two_orders(part: torch.nn.Module) -> None:
    x = images(4, 6).requires_grad_()
    assert gradcheck(part.double(), (x,))
    assert gradgradcheck(part.double(), (x,))


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
def test_up_is_four_times_the_adjoint_of_down(height: int, width: int, seed: int) -> None:
    small, large = images(height, width, seed), images(2 * height, 2 * width, seed + 1)
    ours = (Up().double()(small) * large).sum()
    assert torch.allclose(ours, 4 * (small * Down().double()(large)).sum())


@pytest.mark.parametrize("part", PARTS, ids=["blur", "blur with gain", "down", "up"])
def test_precision_and_layout_are_kept(part: torch.nn.Module) -> None:
    x = images().bfloat16().to(memory_format=torch.channels_last)
    y = part.float()(x)
    assert y.dtype == torch.bfloat16
    assert y.stride(1) == 1
    assert torch.allclose(y.double(), part.double()(x.double()), atol=0.05)
