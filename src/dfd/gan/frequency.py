"""What the discriminator's frequency branch looks at: the traces that up-sampling leaves.

Generators draw the highest frequencies least well (Durall et al. 2020; Frank et al. 2020), and convolutions find it
easier to see them when the picture itself is taken away.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, one_hot, pad

RESIDUAL_GAIN = 8.0  # brings the residual of photographs to a deviation near 1
MARGIN = 2
RINGS, CELLS = 32, 8
# Below this power log is flat, which bounds its gradient; it is the power of noise of half a grey level.
EPSILON = 1e-3


def residual(images: Tensor) -> Tensor:
    """Images [N, 3, H, W] minus their blur by the binomial filter [1, 4, 6, 4, 1], times a gain.

    Zero in a margin of two pixels, where the filter would need pixels from outside.
    """
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype, device=images.device) / 16
    taps = taps.expand(3, 1, 1, 5)
    smooth = conv2d(conv2d(images, taps, groups=3), taps.transpose(2, 3), groups=3)
    inner = images[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return RESIDUAL_GAIN * pad(inner - smooth, (MARGIN,) * 4)


class Spectrum(nn.Module):
    """Residuals [N, 3, R, R] to logarithms of their power [N, width], of mean about 0 and deviation about 1.

    For each colour: means over rings of equal radial frequency up to the corner of the spectrum, and over the cells of
    a coarse grid on its half plane. A Hann window keeps the image's borders out of the spectrum.
    """

    window: Tensor
    bins: Tensor

    def __init__(self, resolution: int) -> None:
        super().__init__()
        window = torch.outer(*[torch.hann_window(resolution)] * 2)
        bins = torch.cat([_rings(resolution), _cells(resolution)], dim=1)
        self.width = 3 * bins.shape[1]
        self.register_buffer("window", window / window.square().mean().sqrt(), persistent=False)
        self.register_buffer("bins", bins / bins.sum(dim=0), persistent=False)

    def forward(self, residuals: Tensor) -> Tensor:
        """In the precision of the residuals; autocast has to be off."""
        spectrum = torch.fft.rfft2(residuals * self.window, norm="ortho")
        power = spectrum.real.square() + spectrum.imag.square()
        return (power.flatten(2) @ self.bins + EPSILON).log().flatten(1) / 2 + 1


def _rings(resolution: int) -> Tensor:
    """[R (R / 2 + 1), rings]: weights of `rfft2`'s outputs in each ring; those that stand for two count twice."""
    rows = torch.fft.fftfreq(resolution)[:, None]
    columns = torch.fft.rfftfreq(resolution)[None]
    radius = torch.sqrt(rows**2 + columns**2) / math.sqrt(0.5)
    count = min(RINGS, resolution // 2)
    ring = (radius * count).long().clamp(max=count - 1)
    twice = torch.where((columns > 0) & (columns < 0.5), 2.0, 1.0).expand_as(radius)
    return one_hot(ring.flatten(), count) * twice.reshape(-1, 1)


def _cells(resolution: int) -> Tensor:
    """[R (R / 2 + 1), cells]: which cell of a grid of 2 x CELLS rows and CELLS columns each output is in."""
    rows = torch.arange(resolution)[:, None] * 2 * CELLS // resolution
    columns = (torch.arange(resolution // 2 + 1)[None] * 2 * CELLS // resolution).clamp(max=CELLS - 1)
    return one_hot((rows * CELLS + columns).flatten(), 2 * CELLS * CELLS).float()
