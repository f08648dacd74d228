#!/usr/bin/env python3
"""How fast the GAN trains, against its convolutions and linear layers run plainly.

    python scripts/bench_gan.py [--resolutions 32 64] [--gan small] [--precisions fp32 bf16] [--batch 32] [--steps 5]
        [--threads 1] [--profile]

A training iteration is a generator step and a discriminator step, each with Adam, the moving average of the
generator, and the regularisers' own steps at the share that lazy regularisation gives them. The floor has the same
convolutions and linear layers, with as many passes forward, backward and through the gradient, and neither modulation,
FIR filters, noise, rectifiers nor spectrum. Neither augments. Both take turns phase by phase, so that a change of the
machine's speed meets both. Figures: median (lowest to highest) images/s over the steps.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import cast

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import conv2d

from dfd.config import GanConfig, RuntimeConfig
from dfd.gan.discriminator import Block, Discriminator, DiscriminatorShape, FrequencyBranch, ImageBranch, Pyramid
from dfd.gan.generator import Generator, GeneratorShape, mix
from dfd.gan.layers import Convolution, Linear
from dfd.gan.losses import PathLength, discriminator_loss, generator_loss, r1_gamma, r1_penalty
from dfd.runtime import Runtime, start

CONFIGS = resources.files("dfd.configs")


class Training:
    """The phases of an iteration with the project's networks."""

    def __init__(self, config: GanConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        torch.manual_seed(0)
        self.generator = runtime.place(self.new_generator())
        self.discriminator = runtime.place(self.new_discriminator())
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.steps = [
            torch.optim.Adam(network.parameters(), config.lr, betas=(0.0, 0.99), fused=True)
            for network in (self.generator, self.discriminator)
        ]
        self.reals = torch.rand(config.batch_size, 3, config.resolution, config.resolution).mul(2).sub(1)
        self.reals = self.reals.to(runtime.device, memory_format=torch.channels_last)
        self.path_length = PathLength(config.pl_decay, runtime.device)

    def new_generator(self) -> "Generator | PlainGenerator":
        """With random weights."""
        return generator_of(self.config)

    def new_discriminator(self) -> "Discriminator | PlainDiscriminator":
        """With random weights."""
        return discriminator_of(self.config)

    def latents(self, n: int) -> Tensor:
        """w [n, layers, latent]."""
        z = torch.randn(2, n, self.config.latent, device=self.runtime.device)
        first, second = (self.generator.map(one) for one in z)
        self.generator.track(first)
        return mix(first, second, self.generator.layers, self.config.style_mixing)

    def generate(self) -> Tensor:
        """A batch of images."""
        return self.generator.synthesize(self.latents(self.config.batch_size))

    def generator_step(self) -> None:
        """Once an iteration, with the moving average."""
        self.discriminator.requires_grad_(False)
        with self.runtime.autocast(cpu_bf16=True):
            logits = self.discriminator(self.generate())
        self._step(0, self.generator_loss(logits))
        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 0.001)

    def discriminator_step(self) -> None:
        """Once an iteration."""
        with self.runtime.autocast(cpu_bf16=True):
            with torch.no_grad():
                fakes = self.generate()
            logits = self.discriminator(self.reals), self.discriminator(fakes)
        self._step(1, self.discriminator_loss(*logits))

    def path_length_step(self) -> None:
        """Every `pl_interval` iterations."""
        w = self.latents(self.config.batch_size // self.config.pl_shrink)
        self._step(0, self.path_length_penalty(self.generator.synthesize(w), w))

    def r1_step(self) -> None:
        """Every `r1_interval` iterations."""
        self._step(1, r1_penalty(self.discriminator, self.reals) * r1_gamma(self.config.resolution, len(self.reals)))

    def generator_loss(self, logits: Tensor) -> Tensor:
        """A scalar."""
        return generator_loss(logits)

    def discriminator_loss(self, reals: Tensor, fakes: Tensor) -> Tensor:
        """A scalar."""
        return discriminator_loss(reals, fakes)

    def path_length_penalty(self, images: Tensor, w: Tensor) -> Tensor:
        """A scalar."""
        return self.path_length.penalty(images, w)

    def phases(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Each with its share in an iteration."""
        yield 1, self.generator_step
        yield 1, self.discriminator_step
        yield 1 / self.config.pl_interval, self.path_length_step
        yield 1 / self.config.r1_interval, self.r1_step

    def _step(self, network: int, loss: Tensor) -> None:
        self.steps[network].zero_grad(set_to_none=True)
        loss.backward()
        self.steps[network].step()


class Floor(Training):
    """The same phases with `PlainGenerator` and `PlainDiscriminator`."""

    def new_generator(self) -> "PlainGenerator":
        """The project's, stripped."""
        return PlainGenerator(generator_of(self.config))

    def new_discriminator(self) -> "PlainDiscriminator":
        """The project's, stripped."""
        return PlainDiscriminator(discriminator_of(self.config))

    def path_length_penalty(self, images: Tensor, w: Tensor) -> Tensor:
        """Without the square the gradient of a linear network would not depend on its input."""
        return self.path_length.penalty(images.square(), w)


class PlainGenerator(nn.Module):
    """The convolutions and linear layers of a generator."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.layers = model.layers
        self.mapping = nn.Sequential(*(_plain_linear(cast(Linear, layer)) for layer in model.mapping))
        modulated = [*model.convolutions, *model.to_rgb]
        self.styles = nn.ModuleList(_plain_linear(layer.style) for layer in modulated)
        self.start = nn.Parameter(model.start.detach().clone())
        self.convolutions = nn.ModuleList()
        for layer in model.convolutions:
            outputs, inputs = layer.weight.shape[:2]
            self.convolutions.append(
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
                if layer.blur is None
                else nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=False)
            )
        self.to_rgb = nn.ModuleList(nn.Conv2d(layer.weight.shape[1], 3, 1, bias=False) for layer in model.to_rgb)

    def map(self, z: Tensor) -> Tensor:
        """z to w, in fp32."""
        with torch.autocast(z.device.type, enabled=False):
            return self.mapping(z)

    def track(self, w: Tensor) -> None:
        """Nothing to do."""

    def synthesize(self, w: Tensor) -> Tensor:
        """w [N, layers, latent] to what is as large as the images."""
        each = [*w.unbind(1)[: len(self.convolutions)], *w.unbind(1)[1::2]]
        with torch.autocast(w.device.type, enabled=False):
            styles = [style(one) for style, one in zip(self.styles, each, strict=True)]
        x = self.start + styles[0][:, :, None, None]
        x, others = x.contiguous(memory_format=torch.channels_last), sum(style.mean() for style in styles)
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if i % 2 == 0:
                colours = self.to_rgb[i // 2](x).float()
                others = others + colours.mean()
        return colours + others


class PlainDiscriminator(nn.Module):
    """The convolutions and linear layers of a discriminator; residual sums join the paths."""

    def __init__(self, model: Discriminator) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _PlainBranch(cast(ImageBranch | FrequencyBranch, branch)) for branch in model.trunk.branches.values()
        )
        self.head = _plain_linear(model.head)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits [N]; squared, as the project's network is not linear either."""
        return self.head(torch.cat([branch(images) for branch in self.branches], dim=1)).float().squeeze(1).square()


class _PlainBranch(nn.Module):
    def __init__(self, branch: ImageBranch | FrequencyBranch) -> None:
        super().__init__()
        self.pyramid = _PlainPyramid(branch.pyramid)
        self.last = _plain_convolution(branch.last) if isinstance(branch, ImageBranch) else None
        self.read = nn.Sequential(*(_plain_linear(layer) for layer in getattr(branch, "read", [])))
        self.linear = _plain_linear(branch.linear)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pyramid(images)
        if self.last is not None:
            x = self.last(torch.cat([x, x[:, :1]], dim=1))
        x = x.flatten(1)
        if self.read:
            x = torch.cat([x, self.read(images.flatten(1)[:, : self.read[0].in_features])], dim=1)
        return self.linear(x)


class _PlainPyramid(nn.Module):
    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.from_rgb = _plain_convolution(pyramid.from_rgb)
        self.blocks = nn.Sequential(*(_PlainBlock(cast(Block, block)) for block in pyramid.blocks))

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(self.from_rgb(images.contiguous(memory_format=torch.channels_last)))


class _PlainBlock(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.first, self.second = _plain_convolution(block.first), _plain_convolution(block.second, stride=2)
        self.skip = _plain_convolution(block.skip)

    def forward(self, x: Tensor) -> Tensor:
        skip = conv2d(x[..., ::2, ::2].contiguous(memory_format=torch.channels_last), self.skip.weight)
        return skip + self.second(self.first(x))


def _plain_linear(layer: Linear) -> nn.Linear:
    return nn.Linear(layer.weight.shape[1], layer.weight.shape[0])


def _plain_convolution(layer: Convolution, stride: int = 1) -> nn.Conv2d:
    outputs, inputs, kernel, _ = layer.weight.shape
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=layer.bias is not None)


def generator_of(config: GanConfig) -> Generator:
    """With random weights."""
    sizes = (config.latent, config.mapping_layers, config.channel_base, config.channel_max)
    return Generator(GeneratorShape(config.resolution, *sizes))


def discriminator_of(config: GanConfig) -> Discriminator:
    """With random weights."""
    sizes = (config.channel_base, config.channel_max, config.branches, config.group)
    return Discriminator(DiscriminatorShape(config.resolution, *sizes))


def gan_config(name: str, resolution: int, batch: int) -> GanConfig:
    """Settings of configs/gan/<name>.yaml for a resolution."""
    content = yaml.safe_load((CONFIGS / "gan" / f"{name}.yaml").read_text())
    return GanConfig(**{**content, "resolution": resolution, "batch_size": batch})


def iteration_times(trainings: list[Training]) -> list[list[float]]:
    """Seconds of each phase of an iteration, [training][phase], at its share; the trainings take turns."""
    times: list[list[float]] = [[] for _ in trainings]
    for phases in zip(*(training.phases() for training in trainings), strict=True):
        for (share, phase), seconds in zip(phases, times, strict=True):
            started = time.perf_counter()
            phase()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append(share * (time.perf_counter() - started))
    return times


def compare(config: GanConfig, precision: str, steps: int, profile: bool) -> str:
    """A row of the table."""
    runtime = start(RuntimeConfig(precision=precision), cpu_bf16=True)
    trainings = [Training(config, runtime), Floor(config, runtime)]
    iteration_times(trainings)  # warm-up
    if profile:
        _profile(trainings[0])
    times = np.array([iteration_times(trainings) for _ in range(steps)])
    rates = config.batch_size / times.sum(axis=2)
    parts = [" + ".join(f"{1000 * part:.0f}" for part in np.median(times[:, i], axis=0)) for i in range(2)]
    return (
        f"| {config.resolution} | {precision} | {_spread(rates[:, 0])} | {_spread(rates[:, 1])} "
        f"| {_spread(rates[:, 0] / rates[:, 1], 3)} | {parts[0]} | {parts[1]} |"
    )


def _profile(training: Training) -> None:
    for _, phase in training.phases():
        with torch.profiler.profile() as profiler:
            phase()
        print(phase.__name__)
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=24, max_name_column_width=40))


def _spread(values: np.ndarray, digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--gan", default="small", choices=("small", "base"))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="print where the time of each phase goes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| resolution | precision | img/s | floor, img/s | ratio | ms of G + D + path length + R1 | the floor's |")
    print("|---|---|---|---|---|---|---|")
    for resolution in args.resolutions:
        config = gan_config(args.gan, resolution, args.batch)
        for precision in args.precisions:
            print(compare(config, precision, args.steps, args.profile), flush=True)


if __name__ == "__main__":
    main()
