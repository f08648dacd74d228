"""Run a detector over rows and give numbers back, row by row. The only place where a network is applied."""

from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from dfd.data.dataset import Batch, Features, Images, batches_of, loader
from dfd.models.detector import Detector
from dfd.runtime import Runtime

MIN_BATCHES_FOR_WORKERS = 2  # below that, starting processes takes longer than decoding


def compute_logits(
    detector: Detector, data: Images | Features, batch_size: int, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Logits float32 [N], NaN where the file cannot be used, and the reasons by row. `label` shows a progress bar."""
    function = detector.classify if isinstance(data, Features) else detector
    return _compute(detector, function, data, (), batch_size, runtime, label)


def compute_features(
    detector: Detector, data: Images, batch_size: int, runtime: Runtime, label: str | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Penultimate features float32 [N, F], NaN where the file cannot be used, and the reasons by row."""
    return _compute(detector, detector.features, data, (detector.width,), batch_size, runtime, label)


def to_device(batch: Batch, runtime: Runtime) -> torch.Tensor:
    """A batch's inputs on the device, images with the channels last if so configured."""
    if batch.inputs.ndim == 4 and runtime.channels_last:
        return batch.inputs.to(runtime.device, non_blocking=True, memory_format=torch.channels_last)
    return batch.inputs.to(runtime.device, non_blocking=True)


def _compute(
    detector: Detector,
    function: Callable[[torch.Tensor], torch.Tensor],
    data: Images | Features,
    shape: tuple[int, ...],
    batch_size: int,
    runtime: Runtime,
    label: str | None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Each rank works through its share of the batches; every rank gets all results, each row once."""
    batches = batches_of(len(data), batch_size, runtime.rank, runtime.world)
    workers = runtime.workers if isinstance(data, Images) and len(batches) >= MIN_BATCHES_FOR_WORKERS else 0
    stream = loader(data, batches, min(workers, len(batches)), pin_memory=runtime.device.type == "cuda")
    quiet = True if label is None or not runtime.is_main else None  # None: no bar in a log file
    bar = tqdm(
        total=len(data),
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
    results = np.full((len(data), *shape), np.nan, np.float32)
    for rows, values in runtime.gather(mine):
        results[rows] = values
    return results, dict(runtime.gather(list(errors.items())))
