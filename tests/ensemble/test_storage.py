import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from dfd.ensemble import storage
from dfd.ensemble.combiners import Mean
from dfd.ensemble.strategies import fit
from dfd.errors import UserError
from tests.ensemble.conftest import synthetic
from tests.ensemble.test_strategies import strategy


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    storage.save(fit(strategy("stacking_logreg"), *synthetic()), tmp_path)
    return tmp_path


def test_an_estimator_that_answers_otherwise_is_refused(saved: Path) -> None:
    """As another release of scikit-learn might, from the same file."""
    estimator = skops.io.load(saved / storage.ESTIMATOR)
    estimator.coef_ = estimator.coef_ * 2
    skops.io.dump(estimator, saved / storage.ESTIMATOR)
    with pytest.raises(UserError, match="gives other answers than when it was made"):
        storage.load(saved)


def test_a_file_that_wants_to_make_something_else_is_refused(saved: Path) -> None:
    skops.io.dump(
        LogisticRegression(random_state=np.random.RandomState(0), class_weight=Path), saved / storage.ESTIMATOR
    )
    with pytest.raises(UserError, match="which no ensemble of dfd needs"):
        storage.load(saved)


def test_nothing_is_unpickled(saved: Path) -> None:
    (saved / storage.ESTIMATOR).write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(UserError, match="can't be read"):
        storage.load(saved)
    with zipfile.ZipFile(saved / storage.ESTIMATOR, "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(UserError):
        storage.load(saved)


@pytest.mark.parametrize("text", ["{", "{}", '{"kind": "other", "size": 2}', '{"kind": "mean", "size": "x"}'])
def test_a_damaged_card_is_named(tmp_path: Path, text: str) -> None:
    storage.save(Mean((0.5, 0.5), "logit"), tmp_path)
    (tmp_path / storage.CARD).write_text(text)
    with pytest.raises(UserError, match="combiner.json"):
        storage.load(tmp_path)
