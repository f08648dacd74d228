"""What a training step of the GAN is: a step of the discriminator and one of the generator, each with its penalty now
and then (Karras et al. 2020, 'Analyzing and Improving the Image Quality of StyleGAN', sections 3.1 and 3.2).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from dfd.config import GanConfig, GanTrainConfig
from dfd.data.dataset import TrainingOrder
from dfd.errors import UserError
from dfd.gan import losses
from dfd.gan.ada import Controller
from dfd.gan.augment import Augmentation
from dfd.gan.discriminator import Discriminator, DiscriminatorShape
from dfd.gan.generator import Generator, GeneratorShape, mix
from dfd.gan.sampling import to_images
from dfd.runtime import Runtime
from dfd.training.checkpoint import check_data

BETA2 = 0.99
COLLAPSED = 0.5  # of the largest diversity so far: below it, most of the variety is lost
Measure = Callable[[Generator, float], dict[str, float]]


class GanTask:
    """Generator against discriminator. See `dfd.training.loop.Task` for the methods' contracts.

    `pixels`: the real images, uint8 [N, R, R, 3]. `measure(generator, kimg)` gives the figures of a tick, 'fd' among
    them, from the moving average of the generator; it runs on the main rank alone, and is None on the others.
    """

    monitor, lower_is_better = "fd", True
    period = "tick"
    told: tuple[str, ...] | None = ("kimg", "fd", "kid", "diversity", "p", "r_t", "images_per_s")
    advice = "lower gan.lr, raise gan.r1_gamma, or set runtime.precision=fp32"

    def __init__(
        self, config: GanTrainConfig, pixels: np.ndarray, fingerprint: str, measure: Measure | None, runtime: Runtime
    ) -> None:
        gan = self._gan = config.gan
        self._seed, self._runtime, self._pixels = config.seed, runtime, pixels
        self._fingerprint, self._measure = fingerprint, measure
        self.batch_size = _batch_size(gan, len(pixels), runtime.world)
        self.steps = max(1, round(gan.kimg * 1000 / self.batch_size))
        ticks = max(1, round(gan.kimg / gan.tick_kimg))
        self.steps_per_period = -(-self.steps // ticks)  # rounded up, so that no tick of a few steps is left over

        self.generator = runtime.place(Generator(generator_shape(gan)))
        self.discriminator = runtime.place(Discriminator(discriminator_shape(gan)))
        self.average = deepcopy(self.generator).eval().requires_grad_(False)
        self._augmentation, self._controller = Augmentation(config.ada), Controller(config.ada, self.batch_size)
        self._path_length = losses.PathLength(gan.pl_decay, runtime.device)
        self._gamma = losses.r1_gamma(gan.resolution, self.batch_size) if gan.r1_gamma is None else gan.r1_gamma
        self._optimizers = {
            "generator": _adam(self.generator, gan.lr, gan.pl_interval if gan.pl_weight else 0),
            "discriminator": _adam(self.discriminator, gan.lr, gan.r1_interval if self._gamma else 0),
        }
        self._half_life = losses.ema_kimg(self.batch_size) if gan.ema_kimg is None else gan.ema_kimg
        self._figures: dict[str, torch.Tensor] = {}  # of the step at hand
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}
        self._shown = 0  # real images so far
        self._widest = 0.0  # the samples' largest diversity so far

    def batches(self, start_step: int) -> Iterator[torch.Tensor]:
        """For each step, this rank's real images: uint8 [n, 3, R, R], half of them mirrored if so configured."""
        order = TrainingOrder(
            np.zeros(len(self._pixels)),
            batch_size=self.batch_size,
            steps=self.steps,
            seed=self._seed,
            start_step=start_step,
            rank=self._runtime.rank,
            world=self._runtime.world,
        )
        for draws in order:
            batch = self._pixels[[draw.row for draw in draws]]
            if self._gan.mirror:
                mirrored = np.array([draw.seed is not None and draw.seed % 2 for draw in draws], bool)
                batch[mirrored] = batch[mirrored, :, ::-1]
            yield torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2)

    def step(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor | float]:
        """One step of each network. The figures that a tick averages are kept here; see `validate`."""
        real = to_images(batch.to(self._runtime.device, non_blocking=True))
        if self._runtime.channels_last:
            real = real.contiguous(memory_format=torch.channels_last)
        self._discriminator_step(real, step)
        self._generator_step(len(real), step)
        self._follow(step)
        self._controller.step(lambda sums: self._runtime.accelerator.reduce(sums, "sum"))
        return {"loss": self._count()}

    def validate(self) -> dict[str, float]:
        """The means of the tick's steps, what steers the augmentation, and the figures of `measure`."""
        kimg = self._shown / 1000
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        r_t = self._controller.r_t
        steering = {"p": self._controller.p, "r_t": float("nan") if r_t is None else r_t}
        measure = self._measure
        measured = self._runtime.broadcast(
            self._runtime.on_main(lambda: measure(self.average, kimg) if measure else {})
        )
        return self._runtime.broadcast({"kimg": kimg, **means, **steering, **measured, **self._collapse(measured)})

    def _collapse(self, measured: dict[str, float]) -> dict[str, float]:
        """Whether the samples have lost most of the variety that they had, which is said once it happens."""
        self._widest = max(self._widest, min(measured["diversity"], 1.0))  # above 1 is noise, not variety
        collapsed = measured["diversity"] < COLLAPSED * self._widest
        if collapsed and self._runtime.is_main:
            print(
                f"mode collapse: the samples' diversity fell from {self._widest:.2f} to {measured['diversity']:.2f} of "
                "the real images'. The best generator so far is kept. More real images, ada=full or a higher "
                "gan.r1_gamma may help",
                flush=True,
            )
        return {"collapsed": float(collapsed)}

    def weights(self) -> dict[str, torch.Tensor]:
        """The generator's moving average, and the discriminator, under `generator.` and `discriminator.`."""
        return {
            f"{name}.{key}": value
            for name, network in (("generator", self.average), ("discriminator", self.discriminator))
            for key, value in network.state_dict().items()
        }

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put what `weights` gave into `average` and `discriminator`."""
        for name, network in (("generator", self.average), ("discriminator", self.discriminator)):
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, and the data that the steps so far were taken on."""
        parts = {name: part.state_dict() for name, part in self._stateful().items()}
        return {"data": self._fingerprint, "sums": self._sums, "counts": self._counts, **self._numbers(), **parts}

    def _numbers(self) -> dict[str, float]:
        return {"shown": self._shown, "widest": self._widest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError if the data are not those that the run began with."""
        check_data(state["data"], self._fingerprint)
        self._sums = {name: value.to(self._runtime.device) for name, value in state["sums"].items()}
        self._counts, self._shown, self._widest = dict(state["counts"]), state["shown"], state["widest"]
        for name, part in self._stateful().items():
            part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, Any]:
        optimizers = {f"{name}_optimizer": optimizer for name, optimizer in self._optimizers.items()}
        networks = {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}
        return {**networks, **optimizers, "controller": self._controller, "path_length": self._path_length}

    def _discriminator_step(self, real: torch.Tensor, step: int) -> None:
        with self._updating("discriminator"):
            with torch.no_grad(), self._autocast():
                fake = self.generator.synthesize(self._styles(len(real)), noise="random")
            with self._autocast():
                real_logits = self.discriminator(self._augmented(real))
                fake_logits = self.discriminator(self._augmented(fake))
            loss = losses.discriminator_loss(real_logits, fake_logits)
            loss.backward()
        self._controller.observe(real_logits)
        self._add(loss_d=loss, real_sign=real_logits.sign().mean(), fake_sign=fake_logits.sign().mean())
        if step % self._gan.r1_interval == 0 and self._gamma > 0:
            with self._updating("discriminator", "penalty_gradient"):
                penalty = losses.r1_penalty(self.discriminator, self._augmented(real))
                (penalty * (self._gamma / 2 * self._gan.r1_interval)).backward()
            self._add(r1=penalty)

    def _generator_step(self, count: int, step: int) -> None:
        with self._updating("generator"):
            with self._autocast():
                w = self._styles(count, track=True)
                logits = self.discriminator(self._augmented(self.generator.synthesize(w, noise="random")))
            loss = losses.generator_loss(logits)
            loss.backward()
        self._add(loss_g=loss)
        if self._gan.pl_weight > 0 and step % self._gan.pl_interval == 0:
            with self._updating("generator", "penalty_gradient"):
                w = self._styles(max(1, count // self._gan.pl_shrink))
                penalty = self._path_length.penalty(self.generator.synthesize(w, noise="random"), w)
                (penalty * (self._gan.pl_weight * self._gan.pl_interval)).backward()
            self._runtime.average([self._path_length.mean])
            self._add(path_length=self._path_length.mean)

    def _styles(self, count: int, track: bool = False) -> torch.Tensor:
        """w [count, layers, latent], some of them mixed of two; `track`: they move the generator's average w."""
        generator, device = self.generator, self._runtime.device
        first, second = generator.map(torch.randn(2 * count, generator.shape.latent, device=device)).chunk(2)
        if track:
            generator.track(first)
        return mix(first, second, generator.layers, self._gan.style_mixing)

    def _augmented(self, images: torch.Tensor) -> torch.Tensor:
        return self._augmentation(images, self._controller.p)

    @contextmanager
    def _updating(self, name: str, figure: str = "gradient") -> Iterator[None]:
        """Take an optimiser step of one network with the gradients that the block leaves; the other one is fixed.

        `figure` is what their norm is logged as.
        """
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        for other, network in networks.items():
            network.train().requires_grad_(other == name)
        self._optimizers[name].zero_grad(set_to_none=True)
        yield
        gradients = [each.grad for each in networks[name].parameters() if each.grad is not None]
        self._runtime.average(gradients)
        self._add(**{f"{figure}_{name[0]}": nn.utils.get_total_norm(gradients)})
        self._optimizers[name].step()

    def _follow(self, step: int) -> None:
        """Move the generator's average."""
        self._shown = (step + 1) * self.batch_size
        decay = losses.ema_decay(self.batch_size, self._half_life, self._shown, self._gan.ema_rampup)
        with torch.no_grad():
            current = dict(self.generator.named_parameters())
            names, targets = zip(*self.average.named_parameters(), strict=True)
            torch._foreach_lerp_(list(targets), [current[name] for name in names], 1 - decay)
            for target, source in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                target.copy_(source)

    def _add(self, **figures: torch.Tensor) -> None:
        self._figures |= {name: value.detach().float() for name, value in figures.items()}

    def _count(self) -> torch.Tensor:
        """Add the step's figures, as means over the ranks, to the tick's; returns the sum of both networks' losses."""
        means = torch.stack(list(self._figures.values()))
        self._runtime.average([means])
        for name, value in zip(self._figures, means.unbind(), strict=True):
            self._sums[name] = self._sums.get(name, 0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        figures, self._figures = dict(zip(self._figures, means.unbind(), strict=True)), {}
        return figures["loss_d"] + figures["loss_g"]

    def _autocast(self) -> Any:
        return self._runtime.autocast(cpu_bf16=self._gan.cpu_bf16)


def generator_shape(gan: GanConfig) -> GeneratorShape:
    """The generator that the settings ask for. Raises UserError if there is no such one."""
    return GeneratorShape(gan.resolution, gan.latent, gan.mapping_layers, gan.channel_base, gan.channel_max)


def discriminator_shape(gan: GanConfig) -> DiscriminatorShape:
    """The discriminator that the settings ask for."""
    return DiscriminatorShape(gan.resolution, gan.channel_base, gan.channel_max, gan.branches, gan.group)


def _batch_size(gan: GanConfig, images: int, world: int) -> int:
    size = min(gan.batch_size, images)
    if size % world:
        raise UserError(
            f"gan.batch_size={gan.batch_size}: {size} images a step cannot be dealt out to {world} ranks equally"
        )
    return size


def _adam(network: nn.Module, lr: float, interval: int) -> torch.optim.Adam:
    """Adam with beta1 0; `interval`: steps between penalties, which are steps of their own (lazy regularisation)."""
    rate, beta2 = losses.lazy(lr, BETA2, interval) if interval else (lr, BETA2)
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, beta2), eps=1e-8, fused=True)
