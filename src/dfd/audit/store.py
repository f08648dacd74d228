"""The audit of a data set on the disk, beside its manifest, for other commands to condition their results on.

<root>/prepared/<name>/audit/scores.parquet    a row an image: sha256, fold and out-of-fold nuisance scores
                             audit.json        figures and settings; written last, and names the scores it belongs to
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from dfd.files import replacing, sha256_of, write_text

FOLDER, SCORES, FIGURES = "audit", "scores.parquet", "audit.json"


def save(folder: Path, scores: pd.DataFrame, figures: dict[str, Any]) -> Path:
    """Write the audit of the manifest in `folder`; returns the audit's own folder. Atomic: see `load_scores`."""
    place = folder / FOLDER
    once = scores.drop_duplicates("sha256", ignore_index=True)  # copies of a file are of one group, and score alike
    with replacing(place / SCORES) as temporary:
        once.to_parquet(temporary, index=False)
    write_text(place / FIGURES, to_json({**figures, "scores_sha256": sha256_of(place / SCORES)}))
    return place


def load_scores(folder: Path, fingerprint: str) -> pd.DataFrame | None:
    """Nuisance scores of the manifest in `folder`, <root>/prepared/<name>; each sha256 is there once.

    Columns: `sha256`, `fold`, `primary` (the score to condition on) and one a set of nuisances; all scores are ranks
    within the fold, 0..1, higher for what looks more fake. None if there is no audit, if it is of other data than
    `fingerprint` names, or if it is damaged.
    """
    figures = load_figures(folder, fingerprint)
    path = folder / FOLDER / SCORES
    try:
        if figures is None or sha256_of(path) != figures.get("scores_sha256"):
            return None
        return pd.read_parquet(path)
    except (OSError, ValueError):  # pyarrow's errors are OSError and ValueError
        return None


def load_figures(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The content of audit.json; None as in `load_scores`."""
    try:
        figures = json.loads((folder / FOLDER / FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    matches = isinstance(figures, dict) and figures.get("fingerprint") == fingerprint
    return figures if matches else None


def to_json(figures: dict[str, Any]) -> str:
    """As text; never NaN, which is no JSON."""
    return json.dumps(figures, indent=1, allow_nan=False) + "\n"
