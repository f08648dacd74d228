"""The probability of augmentation, steered by how far the discriminator overfits: Karras et al. 2020 (ADA)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dfd.config import AdaConfig


class Controller:
    """Keeps `p`, the probability of each change, at the value where `r_t` meets its target.

    `r_t` is the mean sign of the discriminator's logits of real training images: near 0 for a discriminator that
    learnt nothing of single images, 1 for one that knows them all. Each adjustment estimates it from the logits since
    the last one, over all ranks; None before the first. `batch_size` counts the images of a step over all ranks.

    Every rank holds the same state between steps, so that one rank's state resumes all of them.
    """

    def __init__(self, config: AdaConfig, batch_size: int) -> None:
        self.p = config.p
        self.r_t: float | None = None
        self._adaptive = config.mode == "adaptive"
        self._target = config.target
        self._interval = config.interval
        self._change = config.interval * batch_size / (config.kimg * 1000)
        self._steps = 0  # since the last adjustment
        self._seen = torch.zeros(2)  # sum of signs and number of logits since then: of earlier steps, over all ranks
        self._new = torch.zeros(2)  # the same of this step, on this rank

    def observe(self, real_logits: Tensor) -> None:
        """Count the signs of the logits of real images, of any shape. Stays on their device: nothing waits for it."""
        signs = real_logits.detach().float().sign()
        self._new = self._new.to(signs.device) + torch.stack((signs.sum(), torch.ones_like(signs).sum()))

    def step(self, gather: Callable[[Tensor], Tensor]) -> None:
        """End a training step; every `interval` steps estimate `r_t` and, in mode adaptive, move `p`.

        `gather` gives the sum over ranks of a tensor [2]; all ranks call this at the same step. p goes up where r_t is
        above its target, down where it is below, at a speed that takes it from 0 to 1 in `config.kimg` thousand images.
        """
        new = gather(self._new)
        self._seen = self._seen.to(new.device) + new
        self._new = torch.zeros_like(self._new)
        self._steps += 1
        if self._steps == self._interval:
            self._adjust()

    def _adjust(self) -> None:
        signs, count = self._seen.tolist()
        if count > 0:
            self.r_t = signs / count
            if self._adaptive:
                direction = (self.r_t > self._target) - (self.r_t < self._target)
                self.p = min(max(self.p + direction * self._change, 0.0), 1.0)
        self._seen = torch.zeros_like(self._seen)
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on: numbers and a tensor."""
        return {"p": self.p, "r_t": self.r_t, "steps": self._steps, "seen": self._seen.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`, taken between steps."""
        self.p, self.r_t, self._steps = state["p"], state["r_t"], state["steps"]
        self._seen = state["seen"].clone()
        self._new = torch.zeros_like(self._new)
