import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from dfd.errors import UserError
from dfd.gan.layers import Convolution, Linear, Modulated, ToRGB, channels, check_resolution, sides
from dfd.gan.resample import filter_taps


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def randomised(layer: torch.nn.Module) -> torch.nn.Module:
    """In fp64, with biases and noise strengths that are not at their starting zeros."""
    for parameter in layer.double().parameters():
        torch.nn.init.normal_(parameter)
    return layer


def modulated_by_the_paper(layer: Modulated, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
    """StyleGAN2, equations 1 and 3, with weights of each image's own in a grouped convolution."""
    n, inputs, side, _ = x.shape
    outputs = layer.weight.shape[0]
    style = w @ layer.style.weight.t() / math.sqrt(w.shape[1]) + layer.style.bias
    weight = layer.weight[None] * style[:, None, :, None, None] / math.sqrt(inputs * 9)
    weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    x = x.reshape(1, n * inputs, side, side)
    if layer.blur is None:
        y = conv2d(x, weight.flatten(0, 1), padding=1, groups=n)
    else:
        y = conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=n)
        taps = 4 * filter_taps().to(x).expand(n * outputs, 1, 4, 4)
        y = conv2d(y, taps, padding=1, groups=n * outputs)
    y = y.reshape(n, outputs, *y.shape[2:])
    if noise is not None:
        y = y + noise * layer.noise_strength
    return leaky_relu(y + layer.bias[:, None, None], 0.2) * math.sqrt(2)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_modulation_equals_weights_of_each_images_own(up: bool, noisy: bool, size: float) -> None:
    layer = randomised(Modulated(5, 7, 6, up=up))
    x, w = torch.randn(3, 5, 8, 8).double(), size * torch.randn(3, 6).double()
    noise = torch.randn(3, 1, *[16 if up else 8] * 2).double() if noisy else None
    wanted = modulated_by_the_paper(layer, x, w, noise)
    got = layer(x, *layer.coefficients(w), noise)
    assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_modulation_has_the_same_gradients(up: bool) -> None:
    layer = randomised(Modulated(3, 4, 5, up=up))
    x, w = torch.randn(2, 3, 4, 4).double().requires_grad_(), torch.randn(2, 5).double().requires_grad_()
    noise = torch.randn(2, 1, *[8 if up else 4] * 2).double()
    inputs = [x, w, *layer.parameters()]
    ours = torch.autograd.grad(layer(x, *layer.coefficients(w), noise).square().sum(), inputs)
    theirs = torch.autograd.grad(modulated_by_the_paper(layer, x, w, noise).square().sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_modulation_has_right_derivatives_of_two_orders(up: bool) -> None:
    layer = randomised(Modulated(2, 2, 3, up=up))
    noise = torch.randn(2, 1, *[4 if up else 2] * 2).double()

    def function(x: Tensor, w: Tensor) -> Tensor:
        return layer(x, *layer.coefficients(w), noise)

    x, w = torch.randn(2, 2, 2, 2).double().requires_grad_(), torch.randn(2, 3).double().requires_grad_()
    assert gradcheck(function, (x, w))
    assert gradgradcheck(function, (x, w))


def test_a_huge_style_stays_within_fp16() -> None:
    layer = Modulated(4, 4, 3)
    before, after = layer.coefficients(1e6 * torch.randn(2, 3))
    assert before.abs().max() <= 1
    assert after.isfinite().all()


def test_modulated_outputs_have_unit_variance_before_the_rectifier() -> None:
    layer = Modulated(64, 64, 8)
    x = torch.randn(4, 64, 16, 16)
    y = layer(x, *layer.coefficients(torch.randn(4, 8)), None)
    assert y.square().mean().item() == pytest.approx(1 + 0.2**2, rel=0.1)  # of a leaky rectifier times sqrt 2


def test_colours_equal_weights_of_each_images_own() -> None:
    layer = randomised(ToRGB(5, 4))
    x, w = torch.randn(3, 5, 4, 4).double(), torch.randn(3, 4).double()
    style = w @ layer.style.weight.t() / 2 + layer.style.bias
    weight = layer.weight[None] * style[:, None] / math.sqrt(5)
    wanted = torch.einsum("nchw,nkc->nkhw", x, weight) + layer.bias[:, None, None]
    assert torch.allclose(layer(x, layer.coefficients(w)), wanted)


def test_convolution_is_scaled_and_rectified_at_run_time() -> None:
    layer = randomised(Convolution(3, 4, kernel=3, gain=0.5))
    x = torch.randn(2, 3, 6, 6).double()
    plain = conv2d(x, layer.weight / math.sqrt(27), layer.bias, padding=1)
    assert torch.allclose(layer(x), 0.5 * math.sqrt(2) * leaky_relu(plain, 0.2))


def test_halving_convolution_filters_first() -> None:
    layer = randomised(Convolution(3, 4, kernel=3, down=True, active=False))
    x = torch.randn(2, 3, 8, 8).double()
    blurred = conv2d(x, filter_taps().double().expand(3, 1, 4, 4), padding=2, groups=3)
    assert torch.allclose(layer(x), conv2d(blurred, layer.weight / math.sqrt(27), stride=2))


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_linear_layers_start_alike_and_learn_at_their_rate(rate: float) -> None:
    layer = Linear(400, 300, rate=rate, bias=1.0)
    x = torch.randn(50, 400)
    y = layer(x)
    assert y.std().item() == pytest.approx(1, rel=0.05)
    assert y.mean().item() == pytest.approx(1, abs=0.05)
    with torch.no_grad():
        layer.bias += 1
    assert torch.allclose(layer(x) - y, torch.full_like(y, rate), atol=1e-4)


def test_sizes() -> None:
    assert sides(32) == [4, 8, 16, 32]
    assert [channels(side, 4096, 128) for side in (4, 64, 256)] == [128, 64, 16]
    assert channels(256, 256, 512) == 8


@pytest.mark.parametrize("resolution", [48, 16, 512, 0])
def test_other_resolutions_are_refused(resolution: int) -> None:
    with pytest.raises(UserError, match=f"gan.resolution={resolution} is not .* 32, 64, 128, 256"):
        check_resolution(resolution)
