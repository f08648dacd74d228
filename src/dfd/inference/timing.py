"""How long a forward pass takes."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from dfd.data.dataset import Batch, image_tensor
from dfd.inference.engine import Engine
from dfd.inference.forward import to_device
from dfd.runtime import Runtime

WARM_UP, FEWEST, RUNS = 2, 5, 30
SIDE = 256  # pixels of the image that inputs take their shape from
LONGEST = 1.0  # seconds; a slow network shows less spread, and needs fewer runs


@dataclass(frozen=True)
class Timing:
    """Milliseconds an image, from pixels in memory to the logit, over `runs` runs after a warm-up."""

    median_ms: float
    p95_ms: float
    batch_size: int
    runs: int
    device: str

    def __str__(self) -> str:
        return (
            f"median {self.median_ms:.1f} ms, p95 {self.p95_ms:.1f} ms an image "
            f"(batch size {self.batch_size}, {self.runs} runs, {self.device}; decoding not included)"
        )


def time_inference(engine: Engine, runtime: Runtime, batch_size: int = 1) -> Timing:
    """Time all networks of an engine on random pixels."""
    one = image_tensor(engine.joint(np.zeros((SIDE, SIDE, 3), np.uint8)))
    pixels = torch.randint(0, 256, (batch_size, *one.shape), dtype=torch.uint8)
    inputs = to_device(Batch(torch.arange(batch_size), pixels, {}), runtime)
    with torch.inference_mode(), torch.autocast(runtime.device.type, enabled=False):
        for _ in range(WARM_UP):
            _once(engine, inputs)
        seconds: list[float] = []
        while len(seconds) < RUNS and (len(seconds) < FEWEST or sum(seconds) < LONGEST):
            seconds.append(_once(engine, inputs))
    milliseconds = np.array(seconds) * 1000 / batch_size
    return Timing(
        median_ms=float(np.median(milliseconds)),
        p95_ms=float(np.percentile(milliseconds, 95)),
        batch_size=batch_size,
        runs=len(seconds),
        device=engine.describe(),
    )


def _once(engine: Engine, inputs: torch.Tensor) -> float:
    started = time.perf_counter()
    engine(inputs).cpu()  # the copy waits for the device
    return time.perf_counter() - started
