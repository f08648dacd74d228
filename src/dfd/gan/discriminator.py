"""The hybrid discriminator: a content branch (Karras et al. 2020, StyleGAN2's residual one) and a frequency branch."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from dfd.errors import UserError
from dfd.gan.frequency import Spectrum, residual
from dfd.gan.layers import EPSILON, Convolution, Linear, channels, check_resolution, check_widths, full, sides
from dfd.gan.resample import Down

BRANCHES = ("both", "image", "frequency")
PREFIX = "gan_discriminator"
SLOWEST = 0.01  # momentum of the running mean of the minibatch deviation


@dataclass(frozen=True)
class DiscriminatorShape:
    """What decides a discriminator's parameters; see `GanConfig`. Its name says all of it.

    Raises UserError for a resolution that is no power of two in 32..256.
    """

    resolution: int
    channel_base: int
    channel_max: int
    branches: str
    group: int

    def __post_init__(self) -> None:
        check_resolution(self.resolution)
        check_widths(channel_max=self.channel_max)

    def name(self) -> str:
        """Such as 'gan_discriminator-r64-b4096-m128-g4-both'; `parse` reads it back."""
        sizes = f"r{self.resolution}-b{self.channel_base}-m{self.channel_max}-g{self.group}"
        return f"{PREFIX}-{sizes}-{self.branches}"

    @classmethod
    def parse(cls, name: str) -> "DiscriminatorShape":
        """The shape of that name; UserError for any other text."""
        found = re.fullmatch(rf"{PREFIX}-r(\d+)-b(\d+)-m(\d+)-g(\d+)-({'|'.join(BRANCHES)})", name, re.ASCII)
        if found is None:
            raise UserError(
                f"{name} names no discriminator of a GAN; accepted is such as {PREFIX}-r64-b4096-m128-g4-both"
            )
        resolution, base, most, group = map(int, found.groups()[:4])
        return cls(resolution, base, most, found[5], group)

    @staticmethod
    def is_name(name: str) -> bool:
        """True for what `parse` is meant to read, well formed or not."""
        return name.startswith(PREFIX)


class Trunk(nn.Module):
    """Everything but the last linear unit: images [N, 3, R, R], about -1..1, to features [N, F] in fp32.

    `widths` has the number of features of each branch that is on, in their order along F = `num_features`.
    """

    def __init__(self, shape: DiscriminatorShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [channels(side, shape.channel_base, shape.channel_max) for side in sides(shape.resolution)]
        branches: dict[str, ImageBranch | FrequencyBranch] = {}
        if shape.branches in ("both", "image"):
            branches["image"] = ImageBranch(widths, shape.group)
        if shape.branches in ("both", "frequency"):
            branches["frequency"] = FrequencyBranch([max(8, width // 2) for width in widths], shape.resolution)
        self.branches = nn.ModuleDict(branches)
        self.widths = {name: branch.width for name, branch in branches.items()}
        self.num_features = sum(self.widths.values())

    def forward(self, images: Tensor) -> Tensor:
        """In the order of `widths`."""
        return torch.cat([full(branch(images)) for branch in self.branches.values()], dim=1)


class Discriminator(nn.Module):
    """Images [N, 3, R, R], about -1..1, to logits [N] in fp32; high says real, as a GAN's critic does."""

    def __init__(self, shape: DiscriminatorShape) -> None:
        super().__init__()
        self.trunk = Trunk(shape)
        self.head = Linear(self.trunk.num_features, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The head runs in fp32 in any case."""
        features = self.trunk(images)
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features).squeeze(1)


class ImageBranch(nn.Module):
    """Content: residual blocks down to 4 x 4 pixels, with the deviation over the minibatch as one more channel."""

    def __init__(self, widths: list[int], group: int) -> None:
        super().__init__()
        self.width = widths[0]
        self.pyramid = Pyramid(widths)
        self.deviation = MinibatchDeviation(group)
        self.last = Convolution(widths[0] + 1, widths[0], kernel=3)
        self.linear = Linear(widths[0] * 16, widths[0], active=True)

    def forward(self, images: Tensor) -> Tensor:
        """Images to features [N, width]."""
        return self.linear(self.last(self.deviation(self.pyramid(images))).flatten(1))


class FrequencyBranch(nn.Module):
    """Fingerprints of up-sampling: residual blocks over the high-pass residual, and its power spectrum."""

    def __init__(self, widths: list[int], resolution: int) -> None:
        super().__init__()
        self.width = widths[0]
        self.pyramid = Pyramid(widths)
        self.spectrum = Spectrum(resolution)
        self.read = nn.Sequential(
            Linear(self.spectrum.width, widths[0], active=True), Linear(widths[0], widths[0], active=True)
        )
        self.linear = Linear(widths[0] * 17, widths[0], active=True)

    def forward(self, images: Tensor) -> Tensor:
        """Images to features [N, width]."""
        with torch.autocast(images.device.type, enabled=False):
            residuals = residual(full(images))
            spectrum = self.read(self.spectrum(residuals))
        return self.linear(torch.cat([self.pyramid(residuals).flatten(1), spectrum], dim=1))


class Pyramid(nn.Module):
    """Colours [N, 3, R, R] to feature maps [N, C, 4, 4]; `widths` has the channels at 4, 8, … R pixels."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.from_rgb = Convolution(3, widths[-1], kernel=1)
        self.blocks = nn.Sequential(*(Block(wide, narrow) for wide, narrow in pairwise(reversed(widths))))

    def forward(self, images: Tensor) -> Tensor:
        """In autocast's precision, if that is on."""
        return self.blocks(self.from_rgb(images.contiguous(memory_format=torch.channels_last)))


class Block(nn.Module):
    """[N, I, H, W] to [N, O, H / 2, W / 2]: two convolutions beside a linear path; the sum keeps the variance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, inputs, kernel=3)
        self.second = Convolution(inputs, outputs, kernel=3, down=True, gain=math.sqrt(0.5))
        self.down = Down()
        self.skip = Convolution(inputs, outputs, kernel=1, active=False, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """In autocast's precision, if that is on."""
        return self.skip(self.down(x)) + self.second(self.first(x))


class MinibatchDeviation(nn.Module):
    """Append a channel with the deviation over groups of images (Karras et al. 2018, section 3).

    In training, an image's group is `group` images of the batch, or the largest number up to it that divides the batch.
    In evaluation the channel is the mean over the batches seen in training: an image's answer is its own.
    """

    mean: Tensor
    batches: Tensor

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] to [N, C + 1, H, W]."""
        n, _, height, width = x.shape
        if self.training:
            deviation = self._deviation(x)
            self._remember(deviation)
            channel = deviation.repeat(n // len(deviation))
        else:
            channel = self.mean.expand(n)
        channel = channel.to(x.dtype).view(n, 1, 1, 1).expand(n, 1, height, width)
        return torch.cat([x, channel], dim=1)

    def _deviation(self, x: Tensor) -> Tensor:
        """One value a group, in fp32; image i is in group i modulo the number of groups."""
        n = len(x)
        size = max(d for d in range(1, self.group + 1) if n % d == 0)
        groups = full(x).unflatten(0, (size, n // size))
        variance = groups.var(dim=0, correction=0)
        return (variance + EPSILON).sqrt().mean(dim=(1, 2, 3))

    @torch.no_grad()
    def _remember(self, deviation: Tensor) -> None:
        """A plain mean over the first batches, then a moving one."""
        self.batches += 1
        self.mean.lerp_(deviation.detach().mean(), (1 / self.batches).clamp(min=SLOWEST))
