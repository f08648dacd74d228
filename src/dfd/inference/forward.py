"""Run a detector over rows and give numbers back, row by row. The only place where a network is applied."""

from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from dfd.data.dataset import Batch, Features, Images, batches_of, loader
from dfd.models.detector import Detector
from dfd.runtime import Runtime

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
    return _compute(detector, function, stream, (), runtime, label)


def compute_features(
    detector: Detector, data: Images, batch_size: int, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Penultimate features float32 [N, F], NaN where the file cannot be used, and the reasons by row."""
    stream = stream_of(data, batch_size, runtime)
    return _compute(detector, detector.features, stream, (detector.width,), runtime, label)


def stream_of(data: Images | Features, batch_size: int, runtime: Runtime, keep: bool = False) -> DataLoader:
    """This rank's share of all rows, in batches that are alike for any number of ranks. `keep`: see `loader`."""
    batches = batches_of(len(data), batch_size, runtime.rank, runtime.world)
    workers = runtime.workers if isinstance(data, Images) and len(batches) >= MIN_BATCHES_FOR_WORKERS else 0
    return loader(data, batches, min(workers, len(batches)), runtime.device.type == "cuda", keep)


def to_device(batch: Batch, runtime: Runtime) -> torch.Tensor:
    """A batch's inputs on the device, images with the channels last if so configured."""
    if batch.inputs.ndim == 4 and runtime.channels_last:
        return batch.inputs.to(runtime.device, non_blocking=True, memory_format=torch.channels_last)
    return batch.inputs.to(runtime.device, non_blocking=True)


def _compute(
    detector: Detector,
    function: Callable[[torch.Tensor], torch.Tensor],
    stream: DataLoader,
    shape: tuple[int, ...],
    runtime: Runtime,
    label: str | None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Each rank works through its share of the batches; every rank gets all results, each row once."""
    total = len(stream.dataset)  # type: ignore[arg-type]
    quiet = True if label is None or not runtime.is_main else None  # None: no bar in a log file
    bar = tqdm(
        total=total,
        desc=label,
        unit="img",
        disable=quiet,
        dynamic_ncols=True,
    )
    detector.eval()
    parts, errors = [], {}
    with bar, torch.inference_mode(), runtime.autocast():
        for batch in stream:
            errors.update(batch.errors)
            if len(batch.rows):
                parts.append((batch.rows.numpy(), function(to_device(batch, runtime)).float()))
            bar.update(min(bar.total - bar.n, runtime.world * (len(batch.rows) + len(batch.errors))))
        # One copy at the end: a copy a batch would make the device wait for this process.
        mine = [(rows, values.cpu().numpy()) for rows, values in parts]
    results = np.full((total, *shape), np.nan, np.float32)
    for rows, values in runtime.gather(mine):
        results[rows] = values
    return results, dict(runtime.gather(list(errors.items())))
