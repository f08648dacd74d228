"""An ensemble against its best member, on the same images: is it worth its cost?"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dfd.commands.members import Member
from dfd.config import EvaluationConfig
from dfd.evaluation.leaderboard import pair
from dfd.evaluation.paired import as_json
from dfd.evaluation.runs import Result, read_runs


def best_member(members: Sequence[Member]) -> Member:
    """The member of highest AUROC on validation or out-of-fold: the choice that one would have made without test."""
    return max(members, key=lambda member: member.bundle.metrics["auroc"])


def against(
    table: pd.DataFrame, threshold: float, best: Member, split: str, settings: EvaluationConfig
) -> dict[str, Any]:
    """What metrics.json says of the ensemble's predictions less those of the best member's run, on a split."""
    own = [each for each in read_runs([best.run]).results if each.metrics["split"] == split]
    if not own:
        return {}
    rows = table[table["error"].isna()].reset_index(drop=True)
    called_fake = rows["prob"] >= rows.get("threshold", threshold)
    ensemble = Result(best.run, {}, rows.assign(called_fake=called_fake), None)
    found = pair(ensemble, own[0], settings.resamples, settings.seed)
    if isinstance(found, str):
        return {"against_best_member": {"member": best.name, "reason": found}}
    return {"against_best_member": {"member": best.name, **as_json(found[0])}}
