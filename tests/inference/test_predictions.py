from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.inference.predictions import predictions_of, save_predictions

CALIBRATION = Calibration(temperature=2.0, bias=0.0, threshold=0.5, unsure_low=0.4, unsure_high=0.6)
ROWS = pd.DataFrame({"path": list("abcd"), "label": [0, 1, 0, 1], "width": 9})


def table(logits: list[float], errors: dict[int, str] | None = None) -> pd.DataFrame:
    return predictions_of(ROWS, np.array(logits, np.float32), errors or {}, CALIBRATION)


def test_a_row_has_a_verdict_or_a_reason() -> None:
    result = table([-4, 4, np.nan, 0.1], {2: "truncated"})
    assert list(result["verdict"].fillna("none")) == ["real", "fake", "none", "unsure"]
    assert list(result["error"].isna()) == [True, True, False, True]
    assert result["prob"][1] == pytest.approx(1 / (1 + np.exp(-2)))
    assert np.isnan(result["prob"][2])
    assert "width" not in result


@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_an_error_not_a_verdict(logit: float) -> None:
    result = table([1, logit, 1, 1])
    assert result["error"][1] == "no finite score"
    assert pd.isna(result["verdict"][1]) and np.isnan(result["prob"][1])


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_a_table_is_replaced_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new folder/table{suffix}"
    save_predictions(table([1, 2, 3, 4]), path)
    save_predictions(table([1, np.nan, 3, 4], {1: "naïve \n reason"}), path)
    read = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".json": pd.read_json}[suffix](path)
    assert read["error"][1] == "naïve \n reason"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'.pkl' is no known format; accepted: .parquet, .csv, .json"):
        save_predictions(table([1, 2, 3, 4]), tmp_path / "table.pkl")
