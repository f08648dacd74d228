"""How long a forward pass takes."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from dfd.data.dataset import Batch
from dfd.inference.forward import Function, in_precision, to_device
from dfd.models.detector import Detector
from dfd.runtime import Runtime

WARM_UP, FEWEST, RUNS = 2, 5, 30
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


def time_inference(detectors: list[Detector], runtime: Runtime, batch_size: int = 1) -> Timing:
    """Time one or several networks, one after the other, on random pixels."""
    work = []
    for detector in detectors:
        size = detector.preprocessing.size
        pixels = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)
        work.append(
            (in_precision(detector, detector, runtime), to_device(Batch(torch.arange(batch_size), pixels, {}), runtime))
        )
    with torch.inference_mode(), torch.autocast(runtime.device.type, enabled=False):
        for _ in range(WARM_UP):
            _once(work)
        seconds: list[float] = []
        while len(seconds) < RUNS and (len(seconds) < FEWEST or sum(seconds) < LONGEST):
            seconds.append(_once(work))
    milliseconds = np.array(seconds) * 1000 / batch_size
    return Timing(
        median_ms=float(np.median(milliseconds)),
        p95_ms=float(np.percentile(milliseconds, 95)),
        batch_size=batch_size,
        runs=len(seconds),
        device=runtime.describe(),
    )


def _once(work: list[tuple[Function, torch.Tensor]]) -> float:
    started = time.perf_counter()
    for function, inputs in work:
        function(inputs).cpu()  # the copy waits for the device
    return time.perf_counter() - started
