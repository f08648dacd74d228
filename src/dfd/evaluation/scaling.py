"""From a logit to the probability of 'fake': three maps of rising freedom, and the choice among them.

temperature  sigmoid(logit / T)                  one parameter (Guo et al. 2017, arXiv:1706.04599)
platt        sigmoid(logit / T + b)              two (Platt 1999)
isotonic     rising, straight between its knots  as many as the rows ask for (Zadrozny & Elkan 2002)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit
from scipy.special import logit as log_odds_of

from dfd.errors import UserError
from dfd.evaluation.groups import deal_folds

Floats = NDArray[np.float64]
Knots = tuple[tuple[float, float], ...]

METHODS = ("temperature", "platt", "isotonic")  # from the simplest to the freest
SLOPES = (0.01, 100.0)  # of the log odds per standard deviation of the logits; positive, to keep their order
BELOW_ONE = 1 - 2.0**-53  # the largest float64 below 1
CLIP = 1e-12  # probabilities keep this distance from 0 and 1 where their logarithm is taken
FOLDS, SEED = 5, 0  # of the cross-validation that chooses the method
ISOTONIC_GROUPS = 1000  # with fewer independent rows isotonic regression overfits (Niculescu-Mizil & Caruana 2005)


@dataclass(frozen=True)
class Scaling:
    """A fitted map. `knots` are (logit, probability) pairs of isotonic, whose temperature and bias mean nothing.

    Raises UserError on values that make no sense.
    """

    method: str
    temperature: float = 1.0
    bias: float = 0.0
    knots: Knots = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"calibration: method={self.method!r} is not one of {', '.join(METHODS)}")
        if self.temperature <= 0:
            raise UserError(f"calibration: temperature={self.temperature} is not above 0")
        if (self.method == "isotonic") != bool(self.knots):
            raise UserError(f"calibration: method={self.method} with {len(self.knots)} knots; isotonic alone has some")
        _check_knots(self.knots)

    def prob(self, logit: ArrayLike) -> Floats:
        """Probability of 'fake' in [0, 1), float64, of the shape of `logit`; NaN stays NaN.

        It never falls as the logit rises. It stays below 1, so that the threshold 1 means 'nothing is fake' even
        for the largest logit.
        """
        logit = np.asarray(logit, dtype=np.float64)
        prob = self._between_knots(logit) if self.knots else expit(self._affine(logit))
        return np.asarray(np.minimum(prob, BELOW_ONE))

    def log_odds(self, logit: ArrayLike) -> Floats:
        """Log odds of the probability: finite for finite logits, and for the affine methods exactly logit / T + b."""
        logit = np.asarray(logit, dtype=np.float64)
        if self.knots:
            return np.asarray(log_odds_of(np.clip(self.prob(logit), CLIP, 1 - CLIP)))
        return self._affine(logit)

    def _affine(self, logit: Floats) -> Floats:
        return np.asarray(logit / self.temperature + self.bias)

    def _between_knots(self, logit: Floats) -> Floats:
        at, prob = np.array(self.knots).T
        return np.asarray(np.interp(logit, at, prob))


def _check_knots(knots: Knots) -> None:
    if not knots:
        return
    values = np.array(knots, dtype=np.float64)
    if not np.isfinite(values).all() or (np.diff(values[:, 0]) <= 0).any() or (np.diff(values[:, 1]) < 0).any():
        raise UserError("calibration: knots are not pairs of finite numbers in rising order")
    if values[0, 1] < 0 or values[-1, 1] > 1:
        raise UserError(f"calibration: knots from {values[0, 1]} to {values[-1, 1]} are no probabilities")


def fit_temperature(logit: Floats, label: NDArray[Any]) -> Scaling:
    """The temperature of minimal log loss, without a bias: 0 stays the logit of one half."""
    spread, slopes = _spread(logit)
    slope, _ = _least_loss(logit / spread, platt_targets(label), slopes, with_bias=False)
    return Scaling("temperature", spread / slope, 0.0)


def fit_platt(logit: Floats, label: NDArray[Any]) -> Scaling:
    """Temperature and bias of minimal log loss."""
    spread, slopes = _spread(logit)
    centre = float(logit.mean())
    slope, bias = _least_loss((logit - centre) / spread, platt_targets(label), slopes, with_bias=True)
    return Scaling("platt", spread / slope, bias - slope * centre / spread)


def fit_isotonic(logit: Floats, label: NDArray[Any]) -> Scaling:
    """The rising map of least squared error; only the ends of its level stretches are kept, as knots."""
    at, which, count = np.unique(logit, return_inverse=True, return_counts=True)
    mean = np.bincount(which, platt_targets(label)) / count
    value = isotonic_regression(mean, weights=count).x
    inner = (np.diff(value, prepend=-1) != 0) | (np.diff(value, append=2) != 0)
    return Scaling("isotonic", knots=tuple(zip(at[inner].tolist(), value[inner].tolist(), strict=True)))


FITS: dict[str, Callable[[Floats, NDArray[Any]], Scaling]] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def platt_targets(label: NDArray[Any]) -> Floats:
    """Platt's targets [n], (fakes + 1) / (fakes + 2) and 1 / (reals + 2), instead of 1 and 0.

    They keep the optimum finite when the classes are perfectly separated, and cautious when the rows are few.
    """
    fakes = int((label == 1).sum())
    return np.where(label == 1, (fakes + 1) / (fakes + 2), 1 / (len(label) - fakes + 2))


def _spread(logit: Floats) -> tuple[float, tuple[float, float]]:
    """Standard deviation of the logits and the bounds of the slope in its units.

    The bounds keep a detector that is worse than chance unsure: it is not turned around. Equal logits tell nothing
    of their scale, which is then left as it is.
    """
    spread = float(logit.std())
    if spread <= 1e-12 * max(1.0, float(np.abs(logit).max())):
        return 1.0, (1.0, 1.0)
    return spread, SLOPES


def _least_loss(scaled: Floats, target: Floats, slopes: tuple[float, float], *, with_bias: bool) -> tuple[float, float]:
    """Slope and bias of minimal log loss of sigmoid(slope * scaled + bias) against targets in (0, 1)."""

    def loss(slope_and_bias: Floats) -> tuple[float, Floats]:
        z = slope_and_bias[0] * scaled + slope_and_bias[1]
        gap = expit(z) - target
        value = ((1 - target) * z - log_expit(z)).mean()  # -(t log s(z) + (1 - t) log s(-z))
        return float(value), np.array([(gap * scaled).sum(), gap.sum()]) / len(scaled)

    biases = (None, None) if with_bias else (0.0, 0.0)
    fit = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[slopes, biases], options={"ftol": 1e-14}
    )
    return float(fit.x[0]), float(fit.x[1])


def fit(logit: Floats, label: NDArray[Any], group: NDArray[Any], method: str) -> Scaling:
    """Fit the map named `method`; 'auto' chooses it first, see `choose`."""
    return FITS[choose(logit, label, group) if method == "auto" else method](logit, label)


def choose(logit: Floats, label: NDArray[Any], group: NDArray[Any]) -> str:
    """The method of the lowest cross-validated log loss; a freer one has to win by more than one standard error.

    Folds keep groups together, and the standard error is that of the paired differences of groups (the rule of
    Breiman et al. 1984). Where rows are too few for it, 'platt': scores of a network seldom have their middle at 0.
    """
    fold = _folds(label, group)
    if fold is None:
        return "platt"
    codes = np.unique(group, return_inverse=True)[1]
    methods = METHODS if codes.max() + 1 >= ISOTONIC_GROUPS else METHODS[:2]
    losses = {method: _held_out_loss(logit, label, fold, FITS[method]) for method in methods}
    best = methods[0]
    for method in methods[1:]:
        gain = np.bincount(codes, losses[best] - losses[method])
        if gain.sum() > np.sqrt(len(gain)) * gain.std():
            best = method
    return best


def _folds(label: NDArray[Any], group: NDArray[Any]) -> NDArray[np.int64] | None:
    """Fold of each row; None if no two or more folds leave both classes to fit on."""
    folds = min(FOLDS, *(len(np.unique(group[label == each])) for each in (0, 1)))
    if folds < 2:
        return None
    fold = deal_folds(label, group, folds, SEED)
    both = all(len(np.unique(label[fold != each])) == 2 for each in range(folds))
    return fold if both else None


def _held_out_loss(
    logit: Floats, label: NDArray[Any], fold: NDArray[np.int64], fit_one: Callable[[Floats, NDArray[Any]], Scaling]
) -> Floats:
    """Log loss [n] of each row under the map fitted on the other folds."""
    prob = np.empty(len(logit))
    for each in np.unique(fold):
        out = fold == each
        prob[out] = fit_one(logit[~out], label[~out]).prob(logit[out])
    prob = np.clip(prob, CLIP, 1 - CLIP)
    return -np.log(np.where(label == 1, prob, 1 - prob))
