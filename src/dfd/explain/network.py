"""One network on one input, as the methods see it: float pixels in, the logit of 'fake' out, in fp32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch

from dfd.data.dataset import image_tensor
from dfd.explain.baseline import blurred
from dfd.models.detector import Detector
from dfd.runtime import Runtime

_ONE = Lock()  # torch's random numbers and a network's hooks belong to the process, not to a thread


@dataclass(frozen=True)
class Subject:
    """What a method explains: the logit that `detector` gives `pixels`, uint8 RGB [S, S, 3].

    `samples` is how many forward passes a method that samples may take, `batch` how many images go through at once.
    """

    detector: Detector
    name: str
    pixels: np.ndarray
    device: torch.device
    samples: int
    batch: int

    @property
    def side(self) -> int:
        """S."""
        return int(self.pixels.shape[0])

    def inputs(self) -> torch.Tensor:
        """The pixels as float32 [1, 3, S, S], 0..255."""
        return self._tensor(self.pixels)

    def baseline(self) -> torch.Tensor:
        """The blurred pixels, likewise."""
        return self._tensor(blurred(self.pixels))

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """The detector's logits [n] of float inputs [n, 3, S, S], with gradients if they are asked for."""
        return self.detector(inputs.contiguous(memory_format=torch.channels_last))

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        return image_tensor(pixels)[None].to(self.device).float()


@contextmanager
def undisturbed(detector: Detector, runtime: Runtime, seed: int) -> Iterator[None]:
    """Within this the detector is in evaluation mode, on the device and in fp32, and random numbers are seeded.

    Afterwards its modes and torch's generator are as they were. One explanation at a time in a process.
    """
    with _ONE, torch.random.fork_rng(devices=[]), torch.autocast(runtime.device.type, enabled=False):
        torch.manual_seed(seed)
        modes = [(module, module.training) for module in detector.modules()]
        runtime.place(detector).eval()
        try:
            with torch.enable_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training
