"""Run a detector over rows and give numbers back, row by row. The only place where a network is applied."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from dfd.data.dataset import Batch, Features, Images, batches_of, loader
from dfd.models.detector import Detector
from dfd.runtime import Runtime

Function = Callable[[torch.Tensor], torch.Tensor]


class Network(Protocol):
    """What is applied: a detector, or an extractor of features."""

    cpu_bf16: bool

    def eval(self) -> Any:
        """Switch to evaluation mode."""


MIN_BATCHES_FOR_WORKERS = 2  # below that, starting processes takes longer than decoding


def compute_logits(
    detector: Detector, data: Images | Features, batch_size: int, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Logits float32 [N], NaN where the file cannot be used, and the reasons by row. `label` shows a progress bar."""
    return logits_of(detector, stream_of(data, batch_size, runtime), runtime, label)


def logits_of(
    detector: Detector, stream: DataLoader, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """`compute_logits` on a stream of batches, which may be gone through again."""
    function = detector.classify if isinstance(stream.dataset, Features) else detector
    total = len(stream.dataset)  # type: ignore[arg-type]
    return _compute(in_precision(detector, function, runtime), stream, (), runtime, label, range(total))


def in_precision(detector: Network, function: Function, runtime: Runtime) -> Function:
    """A function of the detector in evaluation mode and in the detector's precision."""
    detector.eval()

    def applied(inputs: torch.Tensor) -> torch.Tensor:
        with runtime.autocast(detector.cpu_bf16):
            return function(inputs)

    return applied


def compute_features(
    detector: Detector, data: Images, batch_size: int, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Penultimate features float32 [N, F], NaN where the file cannot be used, and the reasons by row."""
    return compute(
        in_precision(detector, detector.features, runtime), data, (detector.width,), batch_size, runtime, label
    )


def compute(
    function: Function,
    data: Images | Features,
    shape: tuple[int, ...],
    batch_size: int,
    runtime: Runtime,
    label: str | None = None,
    rows: range | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """`function` of the images' batches, float32 [R, *shape] for R `rows` (default: all); and the reasons by row."""
    stream = stream_of(data, batch_size, runtime, rows=rows)
    return _compute(function, stream, shape, runtime, label, rows or range(len(data)))


def stream_of(
    data: Images | Features, batch_size: int, runtime: Runtime, keep: bool = False, rows: range | None = None
) -> DataLoader:
    """This rank's share of the rows, in batches that are alike for any number of ranks. `keep`: see `loader`."""
    batches = batches_of(rows or range(len(data)), batch_size, runtime.rank, runtime.world)
    workers = runtime.workers if isinstance(data, Images) and len(batches) >= MIN_BATCHES_FOR_WORKERS else 0
    return loader(data, batches, min(workers, len(batches)), runtime.device.type == "cuda", keep)


def to_device(batch: Batch, runtime: Runtime) -> torch.Tensor:
    """A batch's inputs on the device, images with the channels last if so configured."""
    last = batch.inputs.ndim == 4 and runtime.channels_last
    layout = torch.channels_last if last else torch.contiguous_format
    return batch.inputs.to(runtime.device, non_blocking=True, memory_format=layout)


def _compute(
    function: Function,
    stream: DataLoader,
    shape: tuple[int, ...],
    runtime: Runtime,
    label: str | None,
    rows: range,
) -> tuple[np.ndarray, dict[int, str]]:
    """Each rank works through its share of the batches; every rank gets all results, each row once."""
    quiet = True if label is None or not runtime.is_main else None  # None: no bar in a log file
    bar = tqdm(
        total=len(rows),
        desc=label,
        unit="img",
        disable=quiet,
        dynamic_ncols=True,
    )
    parts, errors = [], {}
    # The outer autocast, switched off, keeps the weights that inner ones have cast from batch to batch.
    with bar, torch.inference_mode(), torch.autocast(runtime.device.type, enabled=False):
        for batch in stream:
            errors.update(batch.errors)
            if len(batch.rows):
                parts.append((batch.rows.numpy() - rows.start, function(to_device(batch, runtime)).float()))
            bar.update(min(bar.total - bar.n, runtime.world * (len(batch.rows) + len(batch.errors))))
        # One copy at the end: a copy a batch would make the device wait for this process.
        mine = [(places, values.cpu().numpy()) for places, values in parts]
    results = np.full((len(rows), *shape), np.nan, np.float32)
    for places, values in runtime.gather(mine):
        results[places] = values
    return results, dict(runtime.gather(list(errors.items())))
