"""Nuisances as matrices, family by family: what each audit is fitted on, and what its columns are called."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from dfd.audit.nuisance import BLURRED, THUMBNAIL, Nuisance
from dfd.evaluation.figures import Floats

ABOUT = {
    "format": "file format, colour mode, progressive, chroma subsampling, ICC profile",
    "quantisation": "JPEG quantisation tables and the quality that they stand for",
    "size": "width, height and their ratio",
    "bytes_per_pixel": "bytes of the file per pixel",
    "metadata": "which EXIF, XMP, PNG and comment tags there are",
    "colour": "mean and deviation of red, green and blue",
    "thumbnail": f"{THUMBNAIL} x {THUMBNAIL} pixels in colour",
    "blurred": f"{BLURRED} x {BLURRED} grey pixels",
    "all": "all of these together",
}
CONTENT = ("thumbnail", "blurred")  # each pixel is a column; classifiers see their principal components
COMPONENTS = 48
RAREST, MOST_TRAITS = 3, 400  # images that have a trait, and number of traits, in a family


@dataclass(frozen=True)
class Family:
    """Nuisances of one kind, of n images.

    `values` [n, d] are numbers as measured, traits as 0 and 1 (`is_trait` [d]), named by `columns`; those that are
    equal in all images are left out, so d may be 0. `inputs` [n, k] is what classifiers are fitted on.
    """

    name: str
    about: str
    columns: tuple[str, ...]
    is_trait: NDArray[np.bool_]
    values: Floats
    inputs: Floats


def families_of(records: Sequence[Nuisance]) -> list[Family]:
    """One family for each key of ABOUT, in that order, of readable records."""
    found = [_family(name, records) for name in ABOUT if name != "all"]
    return [*found, _together(found)]


def encoded(name: str, about: str, features: Floats) -> Family:
    """The features [n, F] that a network computes, as a family without names for its columns."""
    return Family(name, about, (), np.zeros(0, dtype=bool), np.zeros((len(features), 0)), features)


def _family(name: str, records: Sequence[Nuisance]) -> Family:
    columns, values, traits = _content(name, records) if name in CONTENT else _listed(name, records)
    varies = np.ptp(values, axis=0) > 0 if values.size else np.zeros(values.shape[1], dtype=bool)
    values = values[:, varies]
    kept = tuple(column for column, keep in zip(columns, varies, strict=True) if keep)
    inputs = _components(values) if name in CONTENT else values
    return Family(name, ABOUT[name], kept, traits[varies], values, inputs)


def _listed(name: str, records: Sequence[Nuisance]) -> tuple[list[str], Floats, NDArray[np.bool_]]:
    """Columns, values and kinds of a family of numbers and traits."""
    prefix = f"{name}: "
    numbers = [key for key in records[0].numbers if key.startswith(prefix)]
    counts = Counter(trait for record in records for trait in record.traits if trait.startswith(prefix))
    common = [trait for trait, count in counts.most_common(MOST_TRAITS) if count >= RAREST]
    traits = sorted(common, key=lambda trait: (-counts[trait], trait))
    values = np.array(
        [
            [*(record.numbers[key] for key in numbers), *(trait in record.traits for trait in traits)]
            for record in records
        ],
        dtype=np.float64,
    ).reshape(len(records), -1)
    columns = [key.removeprefix(prefix) for key in (*numbers, *traits)]
    return columns, values, np.arange(len(columns)) >= len(numbers)


def _content(name: str, records: Sequence[Nuisance]) -> tuple[list[str], Floats, NDArray[np.bool_]]:
    values = np.array([getattr(record, name) for record in records], dtype=np.float64)
    side = values.shape[1]
    channels = ("red", "green", "blue") if values.ndim == 4 else ("grey",)
    columns = [
        f"{channel}, row {row} and column {column} of {side}"
        for row in range(1, side + 1)
        for column in range(1, side + 1)
        for channel in channels
    ]
    return columns, values.reshape(len(records), -1), np.zeros(len(columns), dtype=bool)


def _components(values: Floats) -> Floats:
    """Principal components of all rows: they are found without the labels, so nothing of a fold leaks by them."""
    count = min(COMPONENTS, *values.shape)
    return PCA(count, svd_solver="full").fit_transform(values) if count else values


def _together(families: Sequence[Family]) -> Family:
    return Family(
        "all",
        ABOUT["all"],
        tuple(f"{family.name}: {column}" for family in families for column in family.columns),
        np.concatenate([family.is_trait for family in families]),
        np.hstack([family.values for family in families]),
        np.hstack([family.inputs for family in families]),
    )
