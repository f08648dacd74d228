from dataclasses import replace

import numpy as np
import pytest

from dfd.commands.ensemble_measure import calibrating, settled
from dfd.config import CalibrationConfig, EnsembleConfig, StrategyConfig
from dfd.ensemble.combiners import Majority
from dfd.ensemble.outputs import Outputs
from dfd.errors import UserError
from dfd.evaluation.calibration import calibrate


def config(method: str) -> EnsembleConfig:
    return EnsembleConfig(strategy=StrategyConfig(kind="majority"), calibration=CalibrationConfig(method=method))


@pytest.mark.parametrize("members", [2, 3, 4, 5])
def test_a_majority_stays_one_where_there_are_rows_enough_for_isotonic_regression(members: int) -> None:
    rng = np.random.default_rng(members)
    label = np.arange(2000) % 2
    logits = rng.normal(1.2 * (2 * label[:, None] - 1), 2.0, (2000, members))
    scores = Majority(members).score(Outputs(logits, logits >= 0))
    found = settled(Majority(members), calibrate(scores, label, np.arange(2000), calibrating(config("auto"))))
    assert ((found.prob(scores) >= found.threshold) == (scores >= 0)).all()


def test_isotonic_regression_of_a_majority_is_refused() -> None:
    with pytest.raises(UserError, match="calibration.method=isotonic .* accepted with strategy=majority are auto"):
        calibrating(config("isotonic"))
    other = replace(config("isotonic"), strategy=StrategyConfig(kind="averaging"))
    assert calibrating(other).method == "isotonic"
