"""Latent inversion: the latent vectors whose images come closest to given ones (Karras et al. 2020, section 5; latents
for each layer: Abdal et al. 2019, Image2StyleGAN).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dfd.gan.generator import Generator
from dfd.gan.sampling import latents

Looks = Callable[[Tensor], list[Tensor]]  # images [N, 3, R, R] in -1..1 to feature maps, each [N, C, H, W]

STARTS = 256  # random images, of which each photograph starts from the nearest
SCALES = 3  # pixels are compared at full, half and quarter size
RISE, FALL = 0.05, 0.25  # shares of the steps in which the learning rate rises, and falls to 0


@dataclass(frozen=True)
class Closeness:
    """How far images are from their targets, each [N]: root mean squared error of pixels in 0..1, distance of looks."""

    pixels: Tensor
    looks: Tensor

    def total(self, perceptual: float) -> Tensor:
        """What is made small."""
        return self.pixels + perceptual * self.looks


def closeness(images: Tensor, targets: Tensor, seen: list[Tensor], looks: Looks) -> Closeness:
    """Compare images with targets, both [N, 3, R, R] in -1..1; `seen` is `looks(targets)`."""
    errors = []
    for _ in range(SCALES):
        errors.append(((images - targets) / 2).square().flatten(1).mean(1))
        images_small, targets_small = (functional.avg_pool2d(each, 2) for each in (images, targets))
        if len(errors) == 1:
            full = looks(images)
        images, targets = images_small, targets_small
    apart = [
        (_unit(mine) - _unit(theirs)).square().sum(1).flatten(1).mean(1)
        for mine, theirs in zip(full, seen, strict=True)
    ]
    return Closeness(torch.stack(errors).mean(0).add(1e-12).sqrt(), torch.stack(apart).mean(0))


def nearest_start(
    generator: Generator, targets: Tensor, seen: list[Tensor], looks: Looks, perceptual: float, seed: int
) -> Tensor:
    """For each target the w [N, latent] of the nearest of STARTS random images."""
    with torch.no_grad():
        w = generator.map(latents(STARTS, generator.shape.latent, seed).to(targets.device))
        distances = []
        for one in w.split(32):
            images = generator.synthesize(one, noise="fixed")
            for number in range(len(targets)):
                target, known = targets[number : number + 1], [each[number : number + 1] for each in seen]
                same = [each.expand(len(one), -1, -1, -1) for each in known]
                distances.append(closeness(images, target.expand_as(images), same, looks).total(perceptual))
        table = torch.stack(distances).view(-1, len(targets), min(32, STARTS)).transpose(0, 1).reshape(len(targets), -1)
        return w[table.argmin(1)]


def project(
    generator: Generator,
    targets: Tensor,
    looks: Looks,
    *,
    steps: int,
    lr: float,
    per_layer: bool,
    perceptual: float,
    seed: int,
) -> Iterator[tuple[Tensor, Closeness]]:
    """After each step: w [N, layers, latent], and how close its images are to `targets` [N, 3, R, R].

    The generator's weights and its fixed noise stay as they are. `per_layer`: a latent vector for each layer.
    """
    seen = [each.detach() for each in looks(targets)]
    start = nearest_start(generator, targets, seen, looks, perceptual, seed)
    w = (start[:, None].repeat(1, generator.layers, 1) if per_layer else start[:, None].clone()).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=lr, betas=(0.9, 0.999))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * _rate(step / steps)
        whole = w.expand(-1, generator.layers, -1)
        found = closeness(generator.synthesize(whole, noise="fixed"), targets, seen, looks)
        optimizer.zero_grad(set_to_none=True)
        found.total(perceptual).sum().backward()
        optimizer.step()
        yield whole.detach(), Closeness(found.pixels.detach(), found.looks.detach())


def _rate(share: float) -> float:
    fall = min(1.0, (1 - share) / FALL)
    return min(1.0, (share + 0.001) / RISE) * (0.5 - 0.5 * math.cos(math.pi * fall))


def _unit(maps: Tensor) -> Tensor:
    return maps / maps.square().sum(1, keepdim=True).add(1e-10).sqrt()
