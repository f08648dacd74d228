"""The predictions table: one row an image, with its probability and verdict or the reason why there is none."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.files import replacing

IDENTIFYING = ("path", "label", "split", "source", "group", "sha256")
FORMATS = (".parquet", ".csv", ".json")


def predictions_of(
    rows: pd.DataFrame, logits: np.ndarray, errors: dict[int, str], calibration: Calibration
) -> pd.DataFrame:
    """`rows` identify the images; `logits` [N] is NaN where `errors` has the reason, by row number.

    A logit that is no number without such a reason becomes an error as well: it is never scored.
    """
    table = rows.loc[:, [name for name in IDENTIFYING if name in rows]].reset_index(drop=True)
    reasons = [
        errors.get(row) or (None if np.isfinite(logit) else "no finite score") for row, logit in enumerate(logits)
    ]
    prob = calibration.prob(np.where([reason is None for reason in reasons], logits, np.nan))
    return table.assign(
        logit=logits.astype(np.float32),
        prob=prob,
        verdict=calibration.verdict(prob),
        error=pd.Series(reasons, dtype="object"),
    )


def save_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write as the suffix says: .parquet, .csv or .json (a list of rows). Atomic."""
    check_output(path)
    with replacing(path) as temporary:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_json(temporary, orient="records", indent=1, force_ascii=False)


def check_output(path: Path) -> None:
    """Before hours of work: raises UserError if the suffix is none of FORMATS or the file can't be written."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"output={path}: the suffix {path.suffix!r} is no known format; accepted: {', '.join(FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={path}: its folder can't be made: {error.strerror}") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"output={path} can't be written: " + ("it is a folder" if path.is_dir() else "no permission"))
