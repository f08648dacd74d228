"""The generator: latent vectors to images (Karras et al. 2020, StyleGAN2, with skip outputs)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dfd.gan.layers import EPSILON, Linear, Modulated, ToRGB, channels, check_resolution, check_widths, full, sides
from dfd.gan.resample import Up

MAPPING_RATE = 0.01  # the mapping network learns this much more slowly


@dataclass(frozen=True)
class GeneratorShape:
    """What decides a generator's parameters: sides in pixels, widths in channels; see `GanConfig`.

    Raises UserError for a resolution that is no power of two in 32..256.
    """

    resolution: int
    latent: int
    mapping_layers: int
    channel_base: int
    channel_max: int

    def __post_init__(self) -> None:
        check_resolution(self.resolution)
        check_widths(latent=self.latent, mapping_layers=self.mapping_layers, channel_max=self.channel_max)


class Generator(nn.Module):
    """z [N, latent] from N(0, 1) to images [N, 3, R, R], about -1..1 and not clamped.

    `layers` is the number of vectors w that synthesis takes: two for each side from 4 pixels on. A convolution for RGB
    shares its w with the first convolution of the next side. `w_average` is the tracked mean of w.
    """

    w_average: Tensor
    convolutions: Any  # of Modulated
    to_rgb: Any  # of ToRGB

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [channels(side, shape.channel_base, shape.channel_max) for side in sides(shape.resolution)]
        self.layers = 2 * len(widths)
        self.mapping = nn.Sequential(
            *(Linear(shape.latent, shape.latent, active=True, rate=MAPPING_RATE) for _ in range(shape.mapping_layers))
        )
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.convolutions = nn.ModuleList([Modulated(widths[0], widths[0], shape.latent)])
        for before, after in pairwise(widths):
            self.convolutions.append(Modulated(before, after, shape.latent, up=True))
            self.convolutions.append(Modulated(after, after, shape.latent))
        self.to_rgb = nn.ModuleList(ToRGB(width, shape.latent) for width in widths)
        self.up = Up()
        self.register_buffer("w_average", torch.zeros(shape.latent))
        for i in range(len(self.convolutions)):
            side = 4 * 2 ** ((i + 1) // 2)
            self.register_buffer(f"noise{i}", torch.randn(1, 1, side, side))

    def map(self, z: Tensor) -> Tensor:
        """z [N, latent] to w [N, latent], in fp32."""
        with torch.autocast(z.device.type, enabled=False):
            z = full(z)
            return self.mapping(z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + EPSILON))

    @torch.no_grad()
    def track(self, w: Tensor, decay: float = 0.998) -> None:
        """Move `w_average` towards the mean of a batch of w [N, latent]."""
        self.w_average.lerp_(full(w.detach()).mean(dim=0), 1 - decay)

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Draw w towards the average: 1 leaves it as it is, 0 gives the average (StyleGAN, appendix B)."""
        return self.w_average + truncation * (w - self.w_average)

    def synthesize(self, w: Tensor, noise: str = "random") -> Tensor:
        """w [N, latent] or [N, layers, latent] to images [N, 3, R, R] in fp32, about -1..1, not clamped.

        noise: 'random' from torch's global generator, 'fixed' as drawn with the network's weights, or 'none'.
        """
        each = [w] * self.layers if w.ndim == 2 else list(w.unbind(dim=1))
        with torch.autocast(w.device.type, enabled=False):
            factors = [layer.coefficients(full(one)) for layer, one in zip(self.convolutions, each, strict=False)]
            colours = [layer.coefficients(full(one)) for layer, one in zip(self.to_rgb, each[1::2], strict=True)]
        x = self.start.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        images = self.start.new_zeros(len(w), 3, 2, 2)
        for i, (layer, (before, after)) in enumerate(zip(self.convolutions, factors, strict=True)):
            x = layer(x, before, after, self._noise(i, len(w), noise))
            if i % 2 == 0:
                images = self.up(images) + self.to_rgb[i // 2](x, colours[i // 2])
        return images

    def _noise(self, layer: int, n: int, kind: str) -> Tensor | None:
        fixed = getattr(self, f"noise{layer}")
        if kind == "random":
            return torch.randn(n, *fixed.shape[1:], device=fixed.device, dtype=fixed.dtype)
        return {"fixed": fixed, "none": None}[kind]

    def forward(self, z: Tensor, truncation: float = 1.0, noise: str = "fixed") -> Tensor:
        """Latent vectors z [N, latent] to images, as `synthesize` gives them."""
        return self.synthesize(self.truncate(self.map(z), truncation), noise)


def mix(first: Tensor, second: Tensor, layers: int, probability: float) -> Tensor:
    """Style mixing (StyleGAN, section 3.1): two batches of w [N, latent] to w [N, layers, latent].

    With `probability`, an image takes `second` from a random layer on, but `first` in at least one layer. Draws from
    torch's global generator.
    """
    n, device = len(first), first.device
    crossing = torch.randint(1, layers, (n, 1), device=device)
    mixed = torch.rand(n, 1, device=device) < probability
    later = (torch.arange(layers, device=device) >= crossing) & mixed
    return torch.where(later[:, :, None], second[:, None], first[:, None])
