"""The rows that an ensemble is fitted on, with what each member says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfd.commands.data import data_of
from dfd.commands.members import Member, oof_features, oof_predictions
from dfd.config import EnsembleConfig
from dfd.data.dataset import Copies, Images
from dfd.data.manifest import Manifest, changed_since
from dfd.data.splits import assign_folds
from dfd.data.transforms import Augmentation
from dfd.ensemble.spaces import harmonise
from dfd.ensemble.strategies import NEEDS_FEATURES
from dfd.errors import UserError
from dfd.inference.cached_score import cached_parts, head_logits
from dfd.inference.engine import Part, combine
from dfd.inference.forward import compute_features
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime

VAL_FOLDS = 5  # parts of the validation split, for scores that no part of the fit has seen


@dataclass(frozen=True)
class Rows:
    """What the ensemble is fitted on: out-of-fold rows, or the validation split.

    The first `unchanged` are images as they are, those after them changed copies of them. `logits` [n, M] are the
    members' own; `features` are [n, 1, F] a member, and `places` what `harmonise` gave.
    """

    table: pd.DataFrame
    logits: NDArray[np.float64]
    features: tuple[NDArray[np.float32], ...] | None
    places: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    fold: NDArray[np.int64]
    unchanged: int

    @property
    def label(self) -> NDArray[np.int64]:
        """[n] 1 = fake, 0 = real."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def group(self) -> NDArray[Any]:
        """[n] What belongs together."""
        return self.table["group"].to_numpy()


def out_of_fold(members: Sequence[Member], needs_features: bool) -> Rows:
    """The members' out-of-fold tables, row by row the same images in the same folds."""
    tables = [oof_predictions(member) for member in members]
    first = tables[0].sort_values("path")
    columns, features, places = [], [], []
    for member, table in zip(members, tables, strict=True):
        order = table["path"].argsort().to_numpy()
        own = table.iloc[order]
        if list(own["sha256"]) != list(first["sha256"]) or list(own["fold"]) != list(first["fold"]):
            raise UserError(
                f"these members can't be combined: the folds of {member.name} are not those of {members[0].name}; "
                "what was out-of-fold for one was training data of the other. Train them with the same cv.folds and "
                "data.split_seed"
            )
        columns.append(own["logit"].to_numpy(np.float64))
        if needs_features:
            several = len(member.bundle.detectors) > 1
            space = own["fold"].to_numpy() if several else np.zeros(len(own), dtype=np.int64)
            values, *where = harmonise(np.asarray(oof_features(member, len(table))[order]), space)
            features.append(values[:, None])
            places.append((where[0], where[1]))
    fold = first["fold"].to_numpy(np.int64)
    table = first.reset_index(drop=True)
    return Rows(table, np.stack(columns, axis=1), tuple(features) or None, tuple(places), fold, len(table))


def validation(members: Sequence[Member], manifest: Manifest, config: EnsembleConfig, runtime: Runtime) -> Rows:
    """The validation split, scored by each member from cached features; after it changed copies, if any are wanted."""
    table = manifest.rows("val")
    found = [cached(member.bundle, table, manifest, config, runtime) for member in members]
    errors = {row: reason for _, unusable in found for row, reason in unusable.items()}
    kept = np.array([row not in errors for row in range(len(table))])
    if errors:
        print(f"left out     {len(errors)} of {len(table)} validation images, which can't be read")
    table = table[kept].reset_index(drop=True)
    parts = [[_kept(part, kept) for part in own] for own, _ in found]
    copies = config.augment.val_copies if config.augment else 0
    for number in range(copies):
        for own, member in zip(parts, members, strict=True):
            more = _changed(member.bundle, table, manifest, config, runtime, number)
            own[:] = [_joined(one, other) for one, other in zip(own, more, strict=True)]
    logits = [combine(member.bundle, own) for member, own in zip(members, parts, strict=True)]
    features, places = [], []
    if config.strategy.kind in NEEDS_FEATURES:
        for own in parts:
            values = own[0].features
            assert values is not None
            features.append(values[:, None])
            places.append((np.zeros((1, values.shape[1]), np.float32), np.ones((1, values.shape[1]), np.float32)))
    unchanged = len(table)
    table = pd.concat([table] * (1 + copies), ignore_index=True)
    fold = assign_folds(table, VAL_FOLDS, 0)
    return Rows(table, np.stack(logits, axis=1), tuple(features) or None, tuple(places), fold, unchanged)


def _kept(part: Part, kept: NDArray[np.bool_]) -> Part:
    return Part(part.logits[kept], None if part.features is None else part.features[kept])


def _joined(part: Part, more: Part) -> Part:
    assert part.features is not None and more.features is not None
    return Part(np.concatenate([part.logits, more.logits]), np.concatenate([part.features, more.features]))


def _changed(
    bundle: Bundle, rows: pd.DataFrame, manifest: Manifest, config: EnsembleConfig, runtime: Runtime, number: int
) -> list[Part]:
    """What the bundle's networks say of the rows' images, changed as `augment` has it; the same for all members."""
    assert config.augment
    paths, parts = [manifest.file(path) for path in rows["path"]], []
    for detector in bundle.detectors:
        images = Images(paths, detector.preprocessing, bundle.max_pixels, Augmentation(config.augment))
        label = f"changed copy {number + 1} for {bundle.name}"
        batch_size = config.evaluation.batch_size
        features, errors = compute_features(detector, Copies(images, number), batch_size, runtime, label)
        for row, reason in errors.items():
            raise changed_since(rows["path"].iloc[row], reason)
        parts.append(Part(head_logits(detector, features), features))
    return parts


def cached(
    bundle: Bundle, rows: pd.DataFrame, manifest: Manifest, config: EnsembleConfig, runtime: Runtime
) -> tuple[list[Part], dict[int, str]]:
    """What the bundle's networks say of rows of the manifest, from the cache of features."""
    root = Path((config.data or data_of(bundle)).root)
    return cached_parts(bundle, rows, manifest, root, config.evaluation.batch_size, runtime)
