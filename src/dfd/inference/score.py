"""Any bundle over any images: one logit an image."""

from collections.abc import Callable

import numpy as np

from dfd.data.dataset import Images
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.inference.engine import Engine
from dfd.inference.forward import compute
from dfd.models.bundle import Bundle, DetectorBundle, EnsembleBundle
from dfd.runtime import Runtime

ROWS_AT_ONCE = 8192  # features of thousands of images are held at once, not those of millions

Errors = dict[int, str]


def score(
    engine: Engine,
    images_for: Callable[[Joint], Images],
    batch_size: int,
    runtime: Runtime,
    label: str | None = None,
) -> tuple[np.ndarray, Errors]:
    """Logits float32 [N], NaN where a file cannot be used, and the reasons by row. `label` shows a progress bar.

    `images_for` gives the images as the engine wants them. Each is read once for all networks.
    """
    images = images_for(engine.joint)
    total = len(images)
    step = ROWS_AT_ONCE if any(engine.wanted) else max(1, total)
    logits = np.full(total, np.nan, np.float32)
    errors: Errors = {}
    for start in range(0, total, step):
        rows = range(start, min(start + step, total))
        values, unusable = compute(engine, images, (engine.width,), batch_size, runtime, label, rows)
        usable = np.array([row not in unusable for row in rows])
        if usable.any():
            logits[rows.start : rows.stop][usable] = engine.logits(values[usable])
        errors |= unusable
    return logits, errors


def check_combinable(member: Bundle, name: str) -> None:
    """Raise UserError if a member's features can't be stacked: they must be those of its out-of-fold rows' networks."""
    refitted = isinstance(member, DetectorBundle) and member.training.get("final") == "refit"
    if refitted and member.model.freeze != "backbone":  # type: ignore[attr-defined]
        raise UserError(
            f"{name} holds a network that was trained again on all folds (cv.final=refit), whose features are not "
            "those of its out-of-fold rows; train with cv.final=average, or choose a strategy on scores, such as "
            "strategy=stacking_logreg"
        )
    widths = {detector.width for detector in member.detectors}
    folds = isinstance(member, EnsembleBundle) and all(isinstance(one, DetectorBundle) for one in member.members)
    if len(widths) > 1 or (isinstance(member, EnsembleBundle) and not (folds and member.data.get("folds"))):
        raise UserError(
            f"{name} is itself an ensemble of different detectors, which has no features to stack; "
            "choose a strategy that works on scores, such as strategy=stacking_logreg"
        )
