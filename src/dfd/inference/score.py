"""Any bundle over any images: one logit an image. An ensemble's networks run here, its combiner gets numbers only."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dfd.data.dataset import Images
from dfd.data.transforms import Preprocessing
from dfd.ensemble.crossfit import outputs_of
from dfd.errors import UserError
from dfd.inference.forward import compute, in_precision
from dfd.models.bundle import Bundle, DetectorBundle, EnsembleBundle
from dfd.models.detector import Detector
from dfd.runtime import Runtime

ROWS_AT_ONCE = 8192  # features of thousands of images are held at once, not those of millions

Errors = dict[int, str]


@dataclass(frozen=True)
class Part:
    """What one network says: logits [n] and, if asked for, features [n, F]."""

    logits: np.ndarray
    features: np.ndarray | None


def place(bundle: Bundle, runtime: Runtime) -> None:
    """Move the bundle's networks to the runtime's device. Before the first `score`."""
    for detector in bundle.detectors:
        runtime.place(detector)


def score(
    bundle: Bundle,
    images_for: Callable[[Preprocessing], Images],
    batch_size: int,
    runtime: Runtime,
    label: str | None = None,
) -> tuple[np.ndarray, Errors]:
    """Logits float32 [N], NaN where a file cannot be used, and the reasons by row. `label` shows a progress bar.

    `images_for` gives the images as a network of the bundle wants them. Each is read once for all networks that want
    it alike.
    """
    images: dict[Preprocessing, Images] = {}
    for detector in bundle.detectors:
        images.setdefault(detector.preprocessing, images_for(detector.preprocessing))
    total = len(next(iter(images.values())))
    wanted = needs_features(bundle)
    step = ROWS_AT_ONCE if any(wanted) else max(1, total)
    logits = np.full(total, np.nan, np.float32)
    errors: Errors = {}
    for start in range(0, total, step):
        rows = range(start, min(start + step, total))
        parts, unusable = _run_all(bundle.detectors, wanted, images, rows, batch_size, runtime, label)
        usable = np.array([row not in unusable for row in rows])
        if usable.any():
            kept = [_of(part, usable) for part in parts]
            logits[rows.start : rows.stop][usable] = combine(bundle, kept)
        errors |= unusable
    return logits, errors


def combine(bundle: Bundle, parts: list[Part]) -> np.ndarray:
    """The bundle's logits float64 [n] from what its networks say, in the order of `bundle.detectors`."""
    if isinstance(bundle, DetectorBundle):
        return parts[0].logits.astype(np.float64)
    assert isinstance(bundle, EnsembleBundle)
    logits, features, at = [], [], 0
    for member in bundle.members:
        own = parts[at : at + len(member.detectors)]
        at += len(own)
        logits.append(combine(member, own))
        if bundle.combiner.needs_features:
            features.append(np.stack([part.features for part in own if part.features is not None], axis=1))
    calibrations = [member.calibration for member in bundle.members]
    together = np.stack(logits, axis=1)
    finite = np.isfinite(together).all(axis=1)
    scores = np.full(len(together), np.nan)  # a network whose output is no number leaves no number
    outputs = outputs_of(together, calibrations, tuple(features) or None)
    if finite.any():
        scores[finite] = bundle.combiner.score(outputs.rows(finite))
    return scores


def needs_features(bundle: Bundle) -> list[bool]:
    """For each of its networks, whether the bundle reads its features."""
    if not isinstance(bundle, EnsembleBundle):
        return [False]
    if bundle.combiner.needs_features:
        return [True] * len(bundle.detectors)
    return [wanted for member in bundle.members for wanted in needs_features(member)]


def _of(part: Part, rows: np.ndarray) -> Part:
    return Part(part.logits[rows], None if part.features is None else part.features[rows])


def _run_all(
    detectors: list[Detector],
    wanted: list[bool],
    images: dict[Preprocessing, Images],
    rows: range,
    batch_size: int,
    runtime: Runtime,
    label: str | None,
) -> tuple[list[Part], Errors]:
    """Every network over the same rows; the networks of one preprocessing see each batch one after the other."""
    found: dict[int, Part] = {}
    errors: Errors = {}
    for number, (preprocessing, data) in enumerate(images.items(), start=1):
        who = [index for index, one in enumerate(detectors) if one.preprocessing == preprocessing]
        function = _Joined([detectors[index] for index in who], [wanted[index] for index in who], runtime)
        text = f"{label} ({number} of {len(images)})" if label and len(images) > 1 else label
        values, unusable = compute(function, data, (function.width,), batch_size, runtime, text, rows)
        found |= dict(zip(who, function.split(values), strict=True))
        errors |= unusable
    return [found[index] for index in range(len(detectors))], errors


class _Joined:
    """Several networks of one preprocessing as one function: images to [n, all their logits and wanted features]."""

    def __init__(self, detectors: list[Detector], wanted: list[bool], runtime: Runtime) -> None:
        self._features = [in_precision(one, one.features, runtime) for one in detectors]
        self._detectors, self._wanted = detectors, wanted
        self._widths = [1 + one.width * want for one, want in zip(detectors, wanted, strict=True)]
        self.width = sum(self._widths)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        columns = []
        for detector, function, want in zip(self._detectors, self._features, self._wanted, strict=True):
            features = function(images)
            columns.append(detector.classify(features)[:, None].float())
            if want:
                columns.append(features.float())
        return torch.cat(columns, dim=1)

    def split(self, values: np.ndarray) -> list[Part]:
        starts = np.cumsum([0, *self._widths[:-1]])
        return [
            Part(values[:, start], values[:, start + 1 : start + width] if width > 1 else None)
            for start, width in zip(starts, self._widths, strict=True)
        ]


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
