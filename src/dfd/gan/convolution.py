"""Convolutions whose derivatives of any order are convolutions again.

R1 and the path length penalty differentiate a gradient. PyTorch's own second derivative of a convolution gets the
weights' part from a convolution with a kernel as large as the image, which takes about five times as long on a CPU as
the weight gradient that it is. Here each of the three maps (forward, to the input, to the weights) states its
derivative by the other two.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Geometry(NamedTuple):
    """Stride, zero padding, direction, and the rows that a transposed convolution adds at the far border."""

    stride: int
    padding: int
    transposed: bool
    extra: int


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0) -> Tensor:
    """`conv2d` without groups: x [N, I, H, W], weight [O, I, K, K], bias [O]; in autocast's precision."""
    x, weight, bias = _autocast(x, weight, bias)
    return _Convolution.apply(x, weight, bias, Geometry(stride, padding, transposed=False, extra=0))


def convolve_transposed(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """`conv_transpose2d` without padding: x [N, I, H, W], weight [I, O, K, K]; in autocast's precision."""
    x, weight, _ = _autocast(x, weight, None)
    return _Convolution.apply(x, weight, None, Geometry(stride, 0, transposed=True, extra=0))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return _run(x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias, _ = ctx.needs_input_grad
        return (
            _to_input(grad, weight, x.shape[-1], ctx.geometry) if to_x else None,
            _WeightGradient.apply(x, grad, weight.shape, ctx.geometry) if to_weight else None,
            grad.sum((0, 2, 3)) if to_bias else None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grad: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, grad)
        ctx.geometry = geometry
        stride, padding, transposed, extra = geometry
        weight = x.new_empty(shape)  # only its shape is looked at
        return torch.ops.aten.convolution_backward(
            grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], transposed, [extra] * 2, 1, [False, True, False]
        )[1]

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        x, grad = ctx.saved_tensors
        to_x, to_grad = ctx.needs_input_grad[:2]
        return (
            _to_input(grad, weight, x.shape[-1], ctx.geometry) if to_x else None,
            _Convolution.apply(x, weight, None, ctx.geometry) if to_grad else None,
            None,
            None,
        )


def _to_input(grad: Tensor, weight: Tensor, side: int, geometry: Geometry) -> Tensor:
    stride, padding, transposed, _ = geometry
    reached = (grad.shape[-1] - 1) * stride - 2 * padding + weight.shape[-1]
    extra = 0 if transposed else side - reached
    return _Convolution.apply(grad, weight, None, Geometry(stride, padding, not transposed, extra))


def _run(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    stride, padding, transposed, extra = geometry
    return torch.ops.aten.convolution(x, weight, bias, [stride] * 2, [padding] * 2, [1, 1], transposed, [extra] * 2, 1)


def _autocast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x, weight, bias
    dtype = torch.get_autocast_dtype(device)
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
