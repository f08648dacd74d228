"""Rows of a manifest to train or validate on, as images or as features computed once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfd.config import TrainConfig
from dfd.data.dataset import Copies, Features, Images
from dfd.data.manifest import Manifest, changed_since
from dfd.data.spliced import Spliced
from dfd.data.transforms import Augmentation
from dfd.errors import UserError
from dfd.inference.cache import features_of
from dfd.inference.forward import compute_features
from dfd.models.detector import Detector
from dfd.runtime import Runtime


@dataclass(frozen=True)
class Split:
    """Inputs, labels, groups and file names, row by row; `fingerprint` names the manifest.

    `kinds` are 0 for real images and, from 1 on, the number of a fake's source among those of the split.
    `images` are the rows' files; `data` are these, or features that stand in for them.
    """

    images: Images
    data: Images | Features
    labels: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray
    paths: list[str]
    fingerprint: str

    @property
    def is_images(self) -> bool:
        """False if features stand in for the images."""
        return isinstance(self.data, Images)

    def fail_on(self, errors: dict[int, str]) -> None:
        """A file that could be read when the data were prepared and can't be read now ends the run."""
        if errors:
            row, reason = next(iter(errors.items()))
            raise changed_since(self.paths[row], f"{reason} (and {len(errors) - 1} more)")


def fake_sources(rows: pd.DataFrame) -> list[str]:
    """Where the fakes among some rows of a manifest come from, in alphabetical order."""
    return sorted(source_of(rows)[rows["label"] == 1].unique())


def source_of(rows: pd.DataFrame) -> "pd.Series[str]":
    """The source of each row; a manifest from elsewhere may leave some out, which count as one."""
    return rows["source"].fillna("").astype(str)


def load_split(
    name: str, rows: pd.DataFrame, config: TrainConfig, manifest: Manifest, detector: Detector, runtime: Runtime
) -> Split:
    """Some rows of the manifest; those of the split called 'train' are augmented as configured.

    Under a frozen backbone without augmentation an image's features never change: they come from the cache. For
    logistic regression, features of changed copies follow those of the images as they are. Raises UserError if one of
    the classes is missing.
    """
    labels = rows["label"].to_numpy().astype(np.int64)
    if len(set(labels)) < 2:
        raise UserError(
            f"the {name} split of {manifest.name} holds one class only; training needs real and fake images"
        )
    augmented = name == "train" and not config.augment.is_none()
    images = Images(
        [manifest.file(path) for path in rows["path"]],
        detector.preprocessing,
        config.data.max_pixels,
        Augmentation(config.augment) if augmented else None,
    )
    kinds = pd.Categorical(source_of(rows).where(labels == 1), fake_sources(rows)).codes + 1  # reals have -1 + 1
    groups, paths = rows["group"].to_numpy(), list(rows["path"])
    split = Split(images, images, labels, kinds, groups, paths, manifest.fingerprint)
    changed = _with_splices(split, config.augment.splices) if augmented and config.augment.splices > 0 else split
    fits = config.trainer.solver == "logistic"
    if config.model.freeze == "none" or not (fits or config.augment.is_none()):
        return changed
    cached = features_of(
        detector,
        manifest,
        Path(config.data.root),
        config.data.max_pixels,
        config.evaluation.batch_size,
        runtime,
        label=f"features of {manifest.name}",
    )
    features, errors = cached.of(rows["sha256"])
    split.fail_on(errors)
    split = replace(split, data=Features(torch.from_numpy(features)))
    if not (fits and augmented):
        return split
    copies = [_as_features(changed, number, detector, config, runtime) for number in range(config.trainer.copies)]
    return _joined([split, *copies])


def _as_features(changed: Split, number: int, detector: Detector, config: TrainConfig, runtime: Runtime) -> Split:
    """Features of copy `number` of each image of a split."""
    features, errors = compute_features(
        detector,
        Copies(changed.images, number),
        config.evaluation.batch_size,
        runtime,
        f"features of copy {number + 1}",
    )
    changed.fail_on(errors)
    return replace(changed, data=Features(torch.from_numpy(features)))


def _joined(parts: list[Split]) -> Split:
    """The rows of several splits, in features, as one."""
    features = torch.cat([part.data.features for part in parts if isinstance(part.data, Features)])
    return replace(
        parts[0],
        data=Features(features),
        labels=np.concatenate([part.labels for part in parts]),
        kinds=np.concatenate([part.kinds for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        paths=[path for part in parts for path in part.paths],
    )


def _with_splices(split: Split, share: float) -> Split:
    """`split` with `share` spliced fakes, a kind of their own, for each of its real images.

    Raises UserError if it can't have any.
    """
    made = round(share * int((split.labels == 0).sum()))
    data = Spliced(split.images, split.labels, split.groups, made)
    return replace(
        split,
        images=data,
        data=data,
        labels=np.concatenate([split.labels, np.ones(made, split.labels.dtype)]),
        kinds=np.concatenate([split.kinds, np.full(made, split.kinds.max() + 1)]),
        groups=np.concatenate([split.groups, np.full(made, "splice", object)]),
        paths=[*split.paths, *["a spliced image"] * made],
    )
