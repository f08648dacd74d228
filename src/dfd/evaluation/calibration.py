"""From a logit to a probability and a verdict: what is fitted on validation or out-of-fold rows, and on no others."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfd.config import CalibrationConfig
from dfd.errors import UserError
from dfd.evaluation import scaling
from dfd.evaluation.scaling import Floats, Knots, Scaling
from dfd.evaluation.thresholds import choose_threshold, unsure_band

NUMBERS = ("temperature", "bias", "threshold", "unsure_low", "unsure_high")


@dataclass(frozen=True)
class Calibration:
    """How a detector's logit becomes a probability of 'fake', and that a verdict.

    `method`, `temperature`, `bias` and `knots` are those of `scaling.Scaling`. Verdicts: 'real' below `unsure_low`,
    'unsure' in [unsure_low, unsure_high), 'fake' from `unsure_high` on. When the band is empty, both its ends are the
    threshold. Raises UserError on values that make no sense.
    """

    temperature: float
    bias: float
    threshold: float
    unsure_low: float
    unsure_high: float
    method: str = "platt"
    knots: Knots = ()

    def __post_init__(self) -> None:
        for name in NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
                raise UserError(f"calibration: {name}={value!r} is not a finite number")
        if not 0 <= self.unsure_low <= self.threshold <= self.unsure_high <= 1:
            raise UserError(
                f"calibration: unsure_low={self.unsure_low}, threshold={self.threshold} and "
                f"unsure_high={self.unsure_high} are not in rising order within 0 to 1"
            )
        _ = self._scaling  # checks the rest

    @cached_property
    def _scaling(self) -> Scaling:
        return Scaling(self.method, self.temperature, self.bias, self.knots)

    def prob(self, logit: ArrayLike) -> Floats:
        """Probability of 'fake' in [0, 1), float64, of the shape of `logit`; NaN stays NaN. See `Scaling.prob`."""
        return self._scaling.prob(logit)

    def calibrated_logit(self, logit: ArrayLike) -> Floats:
        """Log odds of the probability, finite: exactly logit / temperature + bias, or for isotonic from its clipped
        probability.
        """
        return self._scaling.log_odds(logit)

    def verdict(self, prob: ArrayLike) -> NDArray[np.object_]:
        """'real', 'unsure' or 'fake' for each probability; None where it is NaN."""
        prob = np.asarray(prob, dtype=np.float64)
        answers = np.full(prob.shape, None, dtype=object)
        answers[prob < self.unsure_low] = "real"
        answers[(prob >= self.unsure_low) & (prob < self.unsure_high)] = "unsure"
        answers[prob >= self.unsure_high] = "fake"
        return answers

    def to_dict(self) -> dict[str, Any]:
        """Plain floats, text and lists, for JSON and YAML; numbers come back exactly."""
        numbers = {name: float(getattr(self, name)) for name in NUMBERS}
        return {"method": self.method, **numbers, "knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """The inverse of `to_dict`; raises UserError on missing, unknown or senseless values.

        `method` and `knots` may be missing: bundles were made when there was platt alone.
        """
        known = {item.name for item in fields(cls)}
        if not set(NUMBERS) <= set(values) <= known:
            raise UserError(f"calibration: has the keys {sorted(values)}, but {sorted(known)} are expected")
        try:
            knots = tuple((float(at), float(prob)) for at, prob in values.get("knots", ()))
        except (TypeError, ValueError):
            raise UserError("calibration: knots is not a list of pairs of numbers") from None
        return cls(**{**values, "knots": knots})


class Verdicts(NamedTuple):
    """Arrays [n] of rows that were calibrated on other rows; NaN and None where the logit is NaN."""

    prob: Floats
    threshold: Floats
    verdict: NDArray[np.object_]


def calibrate(logit: ArrayLike, label: ArrayLike, group: ArrayLike, settings: CalibrationConfig) -> Calibration:
    """Fit the map from logit to probability, choose the threshold and the unsure band.

    Args:
        logit: [n] finite logits of validation or out-of-fold rows.
        label: [n] 1 = fake, 0 = real; both must occur.
        group: [n] rows of one group are not independent, and are never separated.
        settings: what to fit and what the threshold is to be best at.

    Raises UserError when the rows cannot tell: none, one class only, or logits that are not finite.

    Everything is optimal for these rows: expect a little worse on others, the more so the fewer they are.
    The probability presumes these rows' share of fakes.
    """
    logit, label, group = np.asarray(logit, dtype=np.float64), np.asarray(label), np.asarray(group)
    _check_rows(logit, label, group)
    found = scaling.fit(logit, label, group, settings.method)
    prob = found.prob(logit)
    threshold = choose_threshold(prob, label, settings)
    low, high = unsure_band(prob, label, threshold, settings.unsure_error)
    return Calibration(found.temperature, found.bias, threshold, low, high, found.method, found.knots)


def cross_calibrate(
    logit: ArrayLike,
    label: ArrayLike,
    group: ArrayLike,
    fold: ArrayLike,
    settings: CalibrationConfig,
    settle: Callable[[Calibration], Calibration] = lambda found: found,
) -> Verdicts:
    """Probability, threshold and verdict of each row, from a calibration fitted on the rows of the other folds.

    For out-of-fold tables: no row is judged by a threshold that was chosen with its help. Arguments as in `calibrate`,
    and `fold` [n]; a group must lie within one fold. `settle` may change each calibration before it is used. A row
    whose logit is NaN gets no probability and no verdict.
    """
    logit, label, group, fold = np.asarray(logit, dtype=np.float64), *map(np.asarray, (label, group, fold))
    _check_folds(group, fold)
    scored = ~np.isnan(logit)
    prob, threshold = np.full((2, len(logit)), np.nan)
    verdict = np.full(len(logit), None, dtype=object)
    for each in np.unique(fold):
        out, others = fold == each, (fold != each) & scored
        found = settle(calibrate(logit[others], label[others], group[others], settings))
        prob[out], threshold[out] = found.prob(logit[out]), found.threshold
        verdict[out] = found.verdict(prob[out])
    return Verdicts(prob, threshold, verdict)


def _check_folds(group: NDArray[Any], fold: NDArray[Any]) -> None:
    codes = np.unique(group, return_inverse=True)[1]
    numbers = np.unique(fold, return_inverse=True)[1]
    pairs = np.unique(np.stack([codes, numbers]), axis=1)
    if pairs.shape[1] > len(np.unique(codes)):
        raise ValueError("a group lies in more than one fold")


def _check_rows(logit: Floats, label: NDArray[Any], group: NDArray[Any]) -> None:
    if logit.ndim != 1 or not logit.shape == label.shape == group.shape:
        raise ValueError(
            f"logit {logit.shape}, label {label.shape} and group {group.shape} must be vectors of one length"
        )
    if not np.isin(label, (0, 1)).all():
        raise UserError(f"calibration needs labels 0 (real) and 1 (fake), got {sorted(set(label.tolist()))[:5]}")
    fakes = int((label == 1).sum())
    if fakes == 0 or fakes == len(label):
        raise UserError(
            f"calibration needs real and fake validation images, got {len(label) - fakes} real and {fakes} fake"
        )
    if not np.isfinite(logit).all():
        raise UserError(
            f"calibration: {int((~np.isfinite(logit)).sum())} of {len(logit)} logits are not finite numbers"
        )
