"""What a training step of a redrawing network is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dfd.config import GanRedrawConfig
from dfd.data.dataset import Batch, Images, TrainingOrder, batches_of, loader
from dfd.data.manifest import changed_since
from dfd.gan.redrawing import Redrawer
from dfd.inference.forward import to_device
from dfd.runtime import Runtime
from dfd.training.checkpoint import check_data

LOOKS = 4  # validations a run
SHOWN = 64  # images each
WARMUP = 30  # steps
FALL = 0.7  # power of what is left of the run, by which the learning rate falls


@dataclass(frozen=True)
class Settings:
    """Of the loop. See `dfd.training.loop.Settings`."""

    patience: int = 0
    checkpoint_seconds: float = 120.0
    tensorboard: bool = False


class RedrawTask:
    """Crops of photographs through a redrawing network. See `dfd.training.loop.Task` for the methods' contracts."""

    monitor, lower_is_better = "val_loss", True
    period = "look"
    told: tuple[str, ...] | None = ("val_loss",)
    advice = "lower lr"

    def __init__(
        self, config: GanRedrawConfig, network: Redrawer, train: Images, val: Images, fingerprint: str, runtime: Runtime
    ) -> None:
        self._config, self._runtime, self._fingerprint = config, runtime, fingerprint
        self._train, self._val = train, val
        self.network, self.batch_size, self.steps = runtime.place(network), config.batch_size, config.steps
        self.steps_per_period = max(1, config.steps // LOOKS)
        self._optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=0.0)

    def batches(self, start_step: int) -> Iterator[Batch]:
        """For each step, its crops."""
        rows = torch.zeros(len(self._train), dtype=torch.int64).numpy()
        order = TrainingOrder(
            rows, batch_size=self.batch_size, steps=self.steps, seed=self._config.seed, start_step=start_step
        )
        yield from loader(self._train, order, self._runtime.workers)

    def step(self, batch: Batch, step: int) -> dict[str, torch.Tensor | float]:
        """One optimiser step."""
        rate = self._config.lr * min(1, (step + 1) / WARMUP) * (1 - step / self.steps) ** FALL
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch, self._train)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        return {"loss": loss.detach(), "lr": rate}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss on the middle of some photographs of validation."""
        self.network.eval()
        torch.manual_seed(self._config.seed)
        rows = batches_of(range(min(SHOWN, len(self._val))), self.batch_size)
        losses = [float(self._loss(batch, self._val)) * len(batch.rows) for batch in loader(self._val, rows, 0)]
        return {"val_loss": sum(losses) / min(SHOWN, len(self._val))}

    def weights(self) -> dict[str, torch.Tensor]:
        """The network's state."""
        return self.network.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {"data": self._fingerprint, "network": self.weights(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError if the data are not those that the run began with."""
        check_data(state["data"], self._fingerprint)
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _loss(self, batch: Batch, images: Images) -> torch.Tensor:
        for row, reason in batch.errors.items():
            raise changed_since(images.paths[row], reason)
        pixels = to_device(batch, self._runtime).float() / 127.5 - 1
        with self._runtime.autocast(cpu_bf16=True):
            return self.network.loss(pixels).float()
