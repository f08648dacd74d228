"""A trained detector that another one learns from: it says of each training image, changed as it is, how fake it looks.

Hinton et al. 2015, 'Distilling the knowledge in a neural network'; that both look at the very same changed image is
Beyer et al. 2022, 'Knowledge distillation: a good teacher is patient and consistent'.
"""

from pathlib import Path

import torch

from dfd.config import TrainConfig
from dfd.data.manifest import Manifest
from dfd.data.transforms import Preprocessing
from dfd.errors import UserError
from dfd.inference.forward import in_precision
from dfd.models.bundle import DetectorBundle, find, load, seen_in
from dfd.runtime import Runtime


class Teacher:
    """What a detector of the bundle in `folder` says, as targets for another one."""

    def __init__(self, folder: Path, bundle: DetectorBundle, share: float, runtime: Runtime) -> None:
        self.folder, self.bundle, self._share = folder, bundle, share
        detector = runtime.place(bundle.detector).requires_grad_(False)
        self._logits = in_precision(detector, detector, runtime)

    @torch.no_grad()
    def targets(self, labels: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Labels in 0..1, [N], moved towards the teacher's probabilities for the images, [N, 3, H, W] in 0..255."""
        prob = self.bundle.calibration.prob(self._logits(images).float().cpu().numpy())
        return torch.lerp(labels, torch.from_numpy(prob).to(labels), self._share)


def teacher_of(config: TrainConfig, pupil: Preprocessing, manifest: Manifest, runtime: Runtime) -> Teacher | None:
    """The teacher that `trainer.teacher` names.

    Raises UserError if it can't teach this run, or knows its test images.
    """
    wanted = config.trainer.teacher
    if wanted is None:
        return None
    _check_settings(config)
    folder = find(wanted, setting="trainer.teacher")
    bundle = load(folder)
    if not isinstance(bundle, DetectorBundle):
        raise UserError(f"trainer.teacher={wanted} is an ensemble; accepted is one detector")
    _check_views(wanted, bundle.preprocessing, pupil)
    _check_unseen(wanted, bundle, manifest)
    return Teacher(folder, bundle, config.trainer.teacher_share, runtime)


def check_teacher(before: str | None, now: Teacher | None) -> None:
    """Raise UserError if a run that is to go on was begun with a teacher of another sha256, or without one."""
    if now and before != now.bundle.sha256:
        raise UserError(
            f"trainer.teacher={now.folder} is not the bundle that this run began with: it was trained since, or "
            "trainer.teacher names another one; accepted is the same bundle, or start again without resume=true"
        )


def _check_settings(config: TrainConfig) -> None:
    if config.cv.folds:
        raise UserError(
            f"trainer.teacher={config.trainer.teacher} has no part in a cross-validation: it knows images of all "
            "folds; accepted is cv.folds=0"
        )
    if config.model.freeze == "backbone":
        raise UserError(
            f"trainer.teacher={config.trainer.teacher} looks at images, and with model.freeze=backbone training may "
            "not; accepted is model.freeze=none"
        )


def _check_views(wanted: str, teacher: Preprocessing, pupil: Preprocessing) -> None:
    for name in ("size", "fit", "interpolation"):
        ours, theirs = getattr(pupil, name), getattr(teacher, name)
        if ours != theirs:
            raise UserError(
                f"trainer.teacher={wanted} looks at images with {name} {theirs} and the model that is trained at "
                f"{ours}; both must look at the same"
            )


def _check_unseen(wanted: str, bundle: DetectorBundle, manifest: Manifest) -> None:
    test = manifest.rows("test")
    if known := len(seen_in(test) & bundle.seen):
        raise UserError(
            f"trainer.teacher={wanted} was trained or tuned on {known} of the {len(test)} test images of "
            f"{manifest.name}, and its pupil would be measured on them; accepted is a teacher that was trained on the "
            "same split, or on other data"
        )
