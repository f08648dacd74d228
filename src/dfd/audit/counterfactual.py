"""A detector on images whose differences in size and encoding are gone: what it scores when both classes are alike."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dfd.audit.measure import Rows, given, plain
from dfd.config import AuditConfig
from dfd.data.changes import Change
from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.evaluation.figures import Floats
from dfd.evaluation.paired import Scored, compare
from dfd.inference.engine import Engine
from dfd.inference.score import score
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime

FEWEST = 10  # images of either class


@dataclass(frozen=True)
class Alike:
    """Makes images alike in size, shape and encoding: the middle square, resized, saved as JPEG, decoded."""

    side: int
    quality: int

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 RGB [H, W, 3] to uint8 RGB [side, side, 3]."""
        square = ImageOps.fit(Image.fromarray(image), (self.side, self.side), Image.Resampling.BICUBIC)
        return Change("jpeg", self.quality)(np.asarray(square))


@dataclass(frozen=True)
class Tested:
    """Logits [m] of a bundle on the rows numbered `places` [m] of a manifest, as they are and made alike.

    `errors` has the reason by number of the row in the manifest.
    """

    places: NDArray[np.int64]
    split: str
    left_out: int
    before: Floats
    after: Floats
    errors: dict[int, str]


def unseen(bundle: Bundle, manifest: Manifest) -> tuple[NDArray[np.int64], str, int]:
    """Numbers of the rows to test on, their split, and how many the bundle has seen and were left out.

    The test split, or all rows where there is none. Raises UserError if too few are left of a class.
    """
    table = manifest.table
    split = "test" if (table["split"] == "test").any() else "all"
    wanted = (table["split"] == "test") if split == "test" else pd.Series(True, index=table.index)
    seen = bundle.has_seen(table["sha256"])
    places = np.flatnonzero(wanted & ~seen)
    counts = np.bincount(table["label"].to_numpy()[places], minlength=2)
    if counts.min() < FEWEST:
        raise UserError(
            f"bundle {bundle.name}: of the {int(wanted.sum()):,} images of {manifest.name} ({split}) it has not seen "
            f"{counts[0]:,} real and {counts[1]:,} fake ones in training; at least {FEWEST} of each are needed"
        )
    return places, split, int((wanted & seen).sum())


def score_twice(engine: Engine, manifest: Manifest, config: AuditConfig, runtime: Runtime) -> Tested:
    """Score the images twice. All ranks take part."""
    bundle = engine.bundle
    places, split, left_out = unseen(bundle, manifest)
    paths = [manifest.file(path) for path in manifest.table["path"].iloc[places]]
    found: list[Floats] = []
    errors: dict[int, str] = {}
    for change, label in ((None, "as they are"), (Alike(config.side, config.quality), "made alike")):

        def images_for(joint: Joint, change: Alike | None = change) -> Images:
            return Images(paths, joint, bundle.max_pixels, change=change)

        logits, unusable = score(engine, images_for, config.evaluation.batch_size, runtime, f"{bundle.name}, {label}")
        found.append(logits.astype(np.float64))
        errors |= unusable
    reasons = {int(places[row]): reason for row, reason in errors.items()}
    return Tested(places, split, left_out, found[0], found[1], reasons)


def measure(tested: Tested, bundle: Bundle, rows: Rows, numbers: NDArray[np.int64], primary: Floats) -> dict[str, Any]:
    """Figures of the bundle: AUROC before and after, their difference, and given the nuisance score `primary` [n].

    `rows` are the readable ones, `numbers` [n] theirs in the manifest. An image whose score is no finite number is
    left out and counted.
    """
    place = pd.Series(np.arange(len(numbers)), index=numbers)
    finite = np.isfinite(tested.before) & np.isfinite(tested.after) & np.isin(tested.places, numbers)
    own = place.loc[tested.places[finite]].to_numpy()
    part = replace(rows, table=rows.table.iloc[own], fold=rows.fold[own])
    before, after = tested.before[finite], tested.after[finite]
    paired = compare(part.label, part.group, _scored(before, bundle), _scored(after, bundle), rows.resamples, rows.seed)
    drop = paired.differences["auroc"]
    return {
        "name": bundle.name,
        "sha256": bundle.sha256,
        "split": tested.split,
        "seen_left_out": tested.left_out,
        "without_score": int((~finite).sum()),
        "before": plain(before, part),
        "after": plain(after, part),
        "drop": {
            "value": drop.value,
            "low": drop.low,
            "high": drop.high,
            "p": drop.p,
            "method": drop.method,
            "n": len(own),
        },
        "conditional": given(before, primary[own], part),
    }


def _scored(logit: Floats, bundle: Bundle) -> Scored:
    prob = bundle.calibration.prob(logit)
    return Scored(logit, prob, prob >= bundle.calibration.threshold)
