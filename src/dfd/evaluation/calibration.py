"""From a logit to a probability and a verdict: what is fitted on validation rows, and on nothing else."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from dfd.config import CalibrationConfig
from dfd.errors import UserError

Floats = NDArray[np.float64]

SLOPES = (0.01, 100.0)  # of the log odds per standard deviation of the logits; positive, to keep their order
BELOW_ONE = 1 - 2.0**-53  # the largest float64 below 1


@dataclass(frozen=True)
class Calibration:
    """How a detector's logit becomes a probability of 'fake', and that a verdict.

    Verdicts: 'real' below `unsure_low`, 'unsure' in [unsure_low, unsure_high), 'fake' from `unsure_high` on. When
    the band is empty, both its ends are the threshold. Raises UserError on values that make no sense.
    """

    temperature: float
    bias: float
    threshold: float
    unsure_low: float
    unsure_high: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
                raise UserError(f"calibration: {name}={value!r} is not a finite number")
        if self.temperature <= 0:
            raise UserError(f"calibration: temperature={self.temperature} is not above 0")
        if not 0 <= self.unsure_low <= self.threshold <= self.unsure_high <= 1:
            raise UserError(
                f"calibration: unsure_low={self.unsure_low}, threshold={self.threshold} and "
                f"unsure_high={self.unsure_high} are not in rising order within 0 to 1"
            )

    def prob(self, logit: ArrayLike) -> Floats:
        """Probability of 'fake' in [0, 1), float64, of the shape of `logit`; NaN stays NaN.

        It stays below 1, so that the threshold 1 means 'nothing is fake' even for the largest logit.
        """
        logit = np.asarray(logit, dtype=np.float64)
        return np.asarray(np.minimum(expit(logit / self.temperature + self.bias), BELOW_ONE))

    def verdict(self, prob: ArrayLike) -> NDArray[np.object_]:
        """'real', 'unsure' or 'fake' for each probability; None where it is NaN."""
        prob = np.asarray(prob, dtype=np.float64)
        answers = np.full(prob.shape, None, dtype=object)
        answers[prob < self.unsure_low] = "real"
        answers[(prob >= self.unsure_low) & (prob < self.unsure_high)] = "unsure"
        answers[prob >= self.unsure_high] = "fake"
        return answers

    def to_dict(self) -> dict[str, float]:
        """The five numbers, as plain floats."""
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """The inverse of `to_dict`; raises UserError on missing, unknown or senseless values."""
        known = {item.name for item in fields(cls)}
        if set(values) != known:
            raise UserError(f"calibration: has the keys {sorted(values)}, but {sorted(known)} are expected")
        return cls(**values)


def calibrate(
    logit: ArrayLike, label: ArrayLike, group: ArrayLike, settings: CalibrationConfig
) -> Calibration:
    """Fit temperature and bias, choose the threshold and the unsure band.

    Args:
        logit: [n] finite logits of validation rows.
        label: [n] 1 = fake, 0 = real; both must occur.
        group: [n] rows of one group are not independent, and are never separated.
        settings: what to fit and what the threshold is to be best at.

    Raises UserError when the rows cannot tell: none, one class only, or logits that are not finite.

    Everything is optimal for these rows: expect a little worse on others, the more so the fewer they are.
    The probability presumes the validation rows' share of fakes.
    """
    logit, label = np.asarray(logit, dtype=np.float64), np.asarray(label)
    _check_rows(logit, label, settings.unsure_error)
    temperature, bias = fit_scale(logit, label)
    prob = Calibration(temperature, bias, 0.5, 0.5, 0.5).prob(logit)
    threshold = best_threshold(prob, label)
    low, high = unsure_band(prob, label, threshold, settings.unsure_error)
    return Calibration(temperature, bias, threshold, low, high)


def _check_rows(logit: Floats, label: NDArray[Any], unsure_error: float) -> None:
    if logit.ndim != 1 or logit.shape != label.shape:
        raise ValueError(f"logit {logit.shape} and label {label.shape} must be vectors of one length")
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
    if not 0 <= unsure_error <= 1:
        raise UserError(f"unsure_error={unsure_error}: accepted is 0 to 1")


def fit_scale(logit: Floats, label: NDArray[Any]) -> tuple[float, float]:
    """Temperature and bias of minimal log loss (Guo et al. 2017, arXiv:1706.04599; with a bias as in Platt 1999).

    The targets are Platt's: (fakes + 1) / (fakes + 2) and 1 / (reals + 2) instead of 1 and 0. They keep the optimum
    finite when the classes are perfectly separated, and cautious when the rows are few. The slope stays within
    `SLOPES`, so a detector that is worse than chance is made unsure, not turned around.
    """
    spread = float(logit.std())
    slopes = SLOPES
    if spread <= 1e-12 * max(1.0, float(np.abs(logit).max())):  # equal logits tell nothing of their scale: leave it
        spread, slopes = 1.0, (1.0, 1.0)
    centre = float(logit.mean())
    scaled = (logit - centre) / spread  # well conditioned, whatever the logits' scale
    fakes = int((label == 1).sum())
    target = np.where(label == 1, (fakes + 1) / (fakes + 2), 1 / (len(label) - fakes + 2))

    def loss(slope_and_bias: Floats) -> tuple[float, Floats]:
        z = slope_and_bias[0] * scaled + slope_and_bias[1]
        gap = expit(z) - target
        value = -(target * log_expit(z) + (1 - target) * log_expit(-z)).mean()
        return float(value), np.array([(gap * scaled).mean(), gap.mean()])

    start = np.array([1.0, 0.0])
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[slopes, (None, None)], options={"ftol": 1e-14})
    slope = float(fit.x[0]) / spread
    return 1 / slope, float(fit.x[1]) - slope * centre


def cuts(prob: Floats) -> Floats:
    """Every threshold that matters, rising: 0 (all fake), between neighbouring probabilities, 1 (none fake)."""
    values = np.unique(prob)
    middle = (values[:-1] + values[1:]) / 2
    middle = np.where(middle > values[:-1], middle, values[1:])  # neighbours with no float between them
    return np.concatenate([[0.0], middle, [1.0]])


def best_threshold(prob: Floats, label: NDArray[Any]) -> float:
    """The cut of highest balanced accuracy when prob >= cut is called fake; among equals, the nearest to 0.5."""
    at = cuts(prob)
    recall = 1 - _count_below(prob[label == 1], at) / (label == 1).sum()
    specificity = _count_below(prob[label == 0], at) / (label == 0).sum()
    balanced = (recall + specificity) / 2
    best = at[balanced >= balanced.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def unsure_band(prob: Floats, label: NDArray[Any], threshold: float, unsure_error: float) -> tuple[float, float]:
    """The narrowest (low, high) around `threshold` that leaves at most `unsure_error` of errors outside of it.

    Rows below `low` are decided as real, rows from `high` on as fake. Both ends are cuts or the threshold itself.
    A band over everything decides nothing, hence errs never: there is always an answer.
    """
    at = np.union1d(cuts(prob), threshold)
    lows, highs = at[at <= threshold][::-1], at[at >= threshold]
    # An end's credit is the errors it may make less those it makes; a band will do if the credits sum to 0 or more.
    fakes, reals = prob[label == 1], prob[label == 0]
    credit_low = unsure_error * _count_below(prob, lows) - _count_below(fakes, lows)
    credit_high = unsure_error * (len(prob) - _count_below(prob, highs)) - (len(reals) - _count_below(reals, highs))
    # For each low end, the nearest high end whose credit suffices: the first place where the running best reaches it.
    nearest = np.searchsorted(np.maximum.accumulate(credit_high), -credit_low - 1e-9)
    possible = nearest < len(highs)
    lows, highs = lows[possible], highs[nearest[possible]]
    narrowest = int((highs - lows).argmin())
    return float(lows[narrowest]), float(highs[narrowest])


def _count_below(values: Floats, at: Floats) -> NDArray[np.int64]:
    """How many of `values` lie below each of `at`."""
    return np.searchsorted(np.sort(values), at, side="left")
