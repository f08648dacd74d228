"""Any bundle over any images: one logit an image."""

from collections.abc import Callable

import numpy as np

from dfd.data.dataset import Images
from dfd.data.transforms import Preprocessing
from dfd.inference.forward import compute_logits
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime


def place(bundle: Bundle, runtime: Runtime) -> None:
    """Move the bundle's networks to the runtime's device. Before the first `score`."""
    runtime.place(bundle.detector)


def score(
    bundle: Bundle,
    images_for: Callable[[Preprocessing], Images],
    batch_size: int,
    runtime: Runtime,
    label: str | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Logits float32 [N], NaN where a file cannot be used, and the reasons by row. `label` shows a progress bar.

    `images_for` gives the images as one network of the bundle wants them.
    """
    return compute_logits(bundle.detector, images_for(bundle.preprocessing), batch_size, runtime, label)
