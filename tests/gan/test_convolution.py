import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d, conv_transpose2d

from dfd.gan.convolution import convolve, convolve_transposed

# (side, stride, padding): with stride 2, once each with and without a border row that no output reads.
GEOMETRIES = [(5, 1, 1), (4, 1, 0), (5, 2, 0), (6, 2, 0), (6, 2, 1)]


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("side", "stride", "padding"), GEOMETRIES)
def test_convolutions_are_pytorchs_with_their_gradients_of_two_orders(side: int, stride: int, padding: int) -> None:
    x, weight, bias = numbers(2, 3, side, side), numbers(4, 3, 3, 3), numbers(4)
    assert torch.allclose(convolve(x, weight, bias, stride, padding), conv2d(x, weight, bias, stride, padding))

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x, weight, bias, stride, padding)

    assert gradcheck(function, (x, weight, bias))
    assert gradgradcheck(function, (x, weight, bias))


@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolutions_are_pytorchs_with_their_gradients_of_two_orders(stride: int) -> None:
    x, weight = numbers(2, 3, 4, 4), numbers(3, 2, 3, 3)
    assert torch.allclose(convolve_transposed(x, weight, stride), conv_transpose2d(x, weight, stride=stride))
    assert gradcheck(lambda x, weight: convolve_transposed(x, weight, stride), (x, weight))
    assert gradgradcheck(lambda x, weight: convolve_transposed(x, weight, stride), (x, weight))


def test_third_derivatives_are_pytorchs_too() -> None:
    x, weight = numbers(1, 2, 5, 5), numbers(2, 2, 3, 3)

    def third(y: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(y.pow(4).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight, create_graph=True)
        return torch.autograd.grad(second.square().sum(), x)[0]

    assert torch.allclose(third(convolve(x, weight, stride=2)), third(conv2d(x, weight, stride=2)))


def test_only_the_gradients_that_are_asked_for_are_computed() -> None:
    x, weight = numbers(1, 2, 4, 4), numbers(2, 2, 3, 3).detach()
    convolve(x, weight).sum().backward()
    assert x.grad is not None
    assert weight.grad is None


def test_autocast_chooses_the_precision_as_for_pytorchs_convolution() -> None:
    x, weight = torch.randn(1, 2, 4, 4), torch.randn(2, 2, 3, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(x, weight)
        assert torch.equal(y, conv2d(x, weight))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
