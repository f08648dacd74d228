"""What a detector knows beyond the shortcuts that `dfd data audit` found in the data."""

from typing import Any

import numpy as np
import pandas as pd

from dfd.audit.store import load_figures, load_scores
from dfd.config import EvaluationConfig
from dfd.data.manifest import Manifest
from dfd.evaluation.conditional import conditional_auroc


def given_shortcuts(predictions: pd.DataFrame, manifest: Manifest, settings: EvaluationConfig) -> dict[str, Any]:
    """{"auroc_given_shortcuts": figure} from the nuisance scores of the audit of this manifest; {} without one."""
    scores = load_scores(manifest.folder, manifest.fingerprint) if manifest.folder else None
    figures = load_figures(manifest.folder, manifest.fingerprint) if manifest.folder else None
    if scores is None or figures is None:
        return {}
    read = predictions[predictions["error"].isna() & (predictions["label"] != -1)]
    nuisance = scores.set_index("sha256")["primary"].reindex(read["sha256"]).to_numpy(np.float64)
    known = np.isfinite(nuisance)
    figure = conditional_auroc(
        read["label"].to_numpy()[known],
        read["logit"].to_numpy(np.float64)[known],
        nuisance[known],
        read["group"].to_numpy()[known],
        figures["settings"]["strata"],
        settings.resamples,
        settings.seed,
    )
    return {"auroc_given_shortcuts": {**figure, "shortcuts": figures["primary"]["made_of"]}}
