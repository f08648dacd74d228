"""Layers with equalised learning rates, and the modulated convolution (Karras et al. 2018, 2020).

Weights are drawn from N(0, 1) and scaled in each forward pass by 1 / sqrt(fan-in) (He's constant), so that Adam moves
all layers equally fast. Leaky rectifiers carry a gain of sqrt 2; since they are homogeneous, it goes into the weights
and the bias before them, which costs no pass over the activations.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_, linear

from dfd.errors import UserError
from dfd.gan.convolution import convolve, convolve_transposed
from dfd.gan.resample import Blur

RESOLUTIONS = (32, 64, 128, 256)
SLOPE, GAIN = 0.2, math.sqrt(2)
EPSILON = 1e-8
MOST_CHANNELS = 1024


def check_resolution(resolution: int) -> None:
    """Raise UserError if there is no network for images of this side in pixels."""
    if resolution not in RESOLUTIONS:
        known = ", ".join(map(str, RESOLUTIONS))
        raise UserError(f"gan.resolution={resolution} is not a power of two; accepted are {known}")


def check_widths(**widths: int) -> None:
    """Raise UserError for a width in channels or a number of layers that no network here has."""
    for name, width in widths.items():
        if not isinstance(width, int) or not 0 < width <= MOST_CHANNELS:
            raise UserError(f"gan.{name}={width} is out of range; accepted is up to {MOST_CHANNELS}")


def sides(resolution: int) -> list[int]:
    """Sides of the feature maps in pixels: 4, 8, … resolution."""
    return [2**power for power in range(2, resolution.bit_length())]


def channels(side: int, base: int, most: int) -> int:
    """Channels of the feature maps that have `side` pixels a side."""
    return max(8, min(base // side, most))


def full(x: Tensor) -> Tensor:
    """x in fp32, or in fp64 if that is what it is in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Linear(nn.Module):
    """x [N, I] to [N, O], then a leaky rectifier if `active`.

    `rate` is the factor on the learning rate; weights and bias are kept divided by it. `bias` is the first bias.
    """

    def __init__(self, inputs: int, outputs: int, active: bool = False, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.active = active
        gain = GAIN if active else 1.0
        self.scale, self.bias_scale = gain * rate / math.sqrt(inputs), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        """In autocast's precision, if that is on."""
        x = linear(x, self.weight * self.scale, self.bias * self.bias_scale)
        return leaky_relu_(x, SLOPE) if self.active else x


class Convolution(nn.Module):
    """x [N, I, H, W] to [N, O, H, W] with an odd kernel; `gain` scales the output.

    `down` filters and halves the sides. `active`: with a bias and a leaky rectifier; otherwise linear and without bias.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, down: bool = False, active: bool = True, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if active else None
        self.blur = Blur(padding=kernel // 2 + 1) if down else None
        self.stride, self.padding = (2, 0) if down else (1, kernel // 2)
        self.bias_scale = gain * GAIN
        self.scale = gain * (GAIN if active else 1.0) / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """In autocast's precision, if that is on."""
        if self.blur is not None:
            x = self.blur(x)
        bias = None if self.bias is None else self.bias * self.bias_scale
        x = convolve(x, self.weight * self.scale, bias, self.stride, self.padding)
        return x if bias is None else leaky_relu_(x, SLOPE)


class Modulated(nn.Module):
    """A 3 x 3 convolution whose input channels each image scales by its style; outputs have unit variance.

    x [N, I, H, W] and w [N, latent] to [N, O, H, W] or, with `up`, [N, O, 2 H, 2 W]; then noise, bias and a leaky
    rectifier. Scaling the activations before and after one shared convolution gives what weights of each image's own
    would (StyleGAN2, section 2.2), at its speed.
    """

    def __init__(self, inputs: int, outputs: int, latent: int, up: bool = False) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self.scale = 1 / math.sqrt(inputs * 9)

    def coefficients(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w in fp32 to the factors before [N, I] and after [N, O] the convolution, the rectifier's gain included.

        A factor common to a whole style cancels; taking out the largest keeps fp16 from overflowing.
        """
        style = self.style(w)
        style = style / style.detach().abs().amax(dim=1, keepdim=True).clamp(min=EPSILON)
        power = (full(self.weight) * self.scale).square().sum((2, 3))
        return style, GAIN * torch.rsqrt(style.square() @ power.t() + EPSILON)

    def forward(self, x: Tensor, before: Tensor, after: Tensor, noise: Tensor | None) -> Tensor:
        """`before` and `after` as `coefficients` gives them; noise [N or 1, 1, H, W] of unit variance."""
        x = x * before.to(x.dtype)[:, :, None, None]
        weight = self.weight * self.scale
        if self.blur is None:
            x = convolve(x, weight, padding=1)
        else:
            x = self.blur(convolve_transposed(x, weight.transpose(0, 1), stride=2))
        after = after.to(x.dtype)[:, :, None, None]
        bias = (GAIN * self.bias).to(x.dtype)[:, None, None]
        if noise is None:
            return leaky_relu_(torch.addcmul(bias, x, after), SLOPE)
        scaled = (noise * (GAIN * self.noise_strength)).to(x.dtype)
        return leaky_relu_(torch.addcmul(scaled, x, after).add_(bias), SLOPE)


class ToRGB(nn.Module):
    """Feature maps [N, C, H, W] to colours [N, 3, H, W] in fp32: a modulated 1 x 1 convolution, not demodulated."""

    def __init__(self, inputs: int, latent: int) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs))
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = 1 / math.sqrt(inputs)

    def coefficients(self, w: Tensor) -> Tensor:
        """w [N, latent] in fp32 to the weights of each image [N, C, 3]."""
        return (self.style(w)[:, None, :] * (self.weight * self.scale)).transpose(1, 2)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """`weight` as `coefficients` gives it. In fp32: colours rounded otherwise than photographs' would tell."""
        n, c, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, c)  # no copy: channels are last
        with torch.autocast(x.device.type, enabled=False):
            colours = full(pixels) @ full(weight) + self.bias
        return colours.view(n, height, width, 3).permute(0, 3, 1, 2)
