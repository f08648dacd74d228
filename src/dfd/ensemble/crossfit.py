"""What an ensemble scores on rows that its combiner was not fitted on.

The members that scored the other folds have seen this one, as is usual in stacking: what they learnt of it can reach
the combiner through their scores alone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dfd.config import CalibrationConfig, StrategyConfig
from dfd.ensemble.outputs import Features, Floats, Ints, Outputs
from dfd.ensemble.strategies import fit
from dfd.evaluation.calibration import Calibration, calibrate
from dfd.machine import available_cores


def outputs_of(
    logits: Floats, calibrations: Sequence[Calibration], features: tuple[Features, ...] | None = None
) -> Outputs:
    """Members' raw logits [n, M], each read by its calibration."""
    read = list(zip(calibrations, logits.T, strict=True))
    calibrated = np.stack([one.calibrated_logit(column) for one, column in read], axis=1)
    votes = np.stack([one.prob(column) >= one.threshold for one, column in read], axis=1)
    return Outputs(calibrated, votes, features)


def cross_fit(
    strategy: StrategyConfig,
    logits: Floats,
    features: tuple[Features, ...] | None,
    label: Ints,
    group: NDArray[np.generic],
    fold: Ints,
    settings: CalibrationConfig,
    calibrations: Sequence[Calibration] | None = None,
) -> Floats:
    """Logits [n]: each fold's by an ensemble that was fitted on the other folds, the members' calibration included.

    With `calibrations` the members keep those: on rows that hold more than a member was calibrated on, such as fakes
    of kinds that it does not know, it would be read otherwise than in the ensemble.
    """
    scores = np.empty(len(label))

    def score(number: int) -> None:
        inside, outside = fold == number, fold != number
        read = calibrations or [
            calibrate(column[outside], label[outside], group[outside], settings) for column in logits.T
        ]
        outputs = outputs_of(logits, read, features)
        combiner = fit(strategy, outputs.rows(outside), label[outside], group[outside])
        scores[inside] = combiner.score(outputs.rows(inside))

    with threadpool_limits(1), ThreadPoolExecutor(available_cores()) as pool:  # one thread a fold, as in `fit`
        list(pool.map(score, np.unique(fold)))
    return scores
