"""Where 'fake' begins, and how far around it a verdict is withheld: chosen from probabilities and labels of rows.

A threshold calls fake what has prob >= threshold. Only `cuts` are candidates: any other value decides like one of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfd.config import CalibrationConfig

Floats = NDArray[np.float64]
ROUNDING = 1e-12  # figures this close are equal


def cuts(prob: Floats) -> Floats:
    """Every threshold that matters, rising: 0 (all fake), between neighbouring probabilities, 1 (none fake)."""
    values = np.unique(prob)
    middle = (values[:-1] + values[1:]) / 2
    middle = np.where(middle > values[:-1], middle, values[1:])  # neighbours with no float between them
    return np.concatenate([[0.0], middle, [1.0]])


def choose_threshold(prob: Floats, label: NDArray[Any], settings: CalibrationConfig) -> float:
    """The cut that `settings.threshold` asks for; among equals, the nearest to 0.5.

    Rules: 'balanced', the highest balanced accuracy, and less than a standard error below it is equal, too: that much
    is chance, and calibrated probabilities are decided best at 0.5 (the rule is Breiman et al.'s of 1984, for trees);
    'f1', the highest F1; 'fpr', the highest recall among cuts with a false positive rate of at most `max_fpr`, then the
    lowest such rate; 'cost', the least sum of 1 for each false alarm and `miss_cost` for each missed fake. All of it
    on these rows, taken as independent: on others, the rate or the cost is about this.
    """
    at = cuts(prob)
    fakes, reals = prob[label == 1], prob[label == 0]
    misses, right_reals = _count_below(fakes, at), _count_below(reals, at)
    alarms, hits = len(reals) - right_reals, len(fakes) - misses
    recall, fpr = hits / len(fakes), alarms / len(reals)
    if settings.threshold == "balanced":
        return _nearest_to_half(at, recall - fpr, misses / len(fakes) ** 2, alarms / len(reals) ** 2)
    elif settings.threshold == "f1":
        merit = 2 * hits / (hits + alarms + len(fakes))
    elif settings.threshold == "cost":
        merit = -(alarms + settings.miss_cost * misses) / (len(reals) + settings.miss_cost * len(fakes))
    else:  # each hit is worth more than all alarms together, and a rate above the limit is out of the question
        merit = np.where(fpr <= settings.max_fpr + ROUNDING, hits - alarms / (len(reals) + 1), -np.inf)
    return _nearest_to_half(at, merit)


def _nearest_to_half(at: Floats, merit: Floats, *counted: Floats) -> float:
    """The cut of highest merit, or with `counted` any among those that lose less than a standard error against it.

    `counted`: what each cut gets wrong of each class, over that class's size squared. Two cuts' differences in them,
    added up, are the variance of the difference of their merits: of the rows that one calls so and one otherwise.
    """
    equal = merit >= merit.max() - ROUNDING
    if counted:
        best = np.flatnonzero(equal)[np.abs(at[equal] - 0.5).argmin()]
        error = np.sqrt(sum(np.abs(each - each[best]) for each in counted))
        equal |= merit[best] - merit < error - ROUNDING
    return float(at[equal][np.abs(at[equal] - 0.5).argmin()])


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
