"""An ensemble against its best member, on the same images: is it worth its cost?"""

from typing import Any

import pandas as pd

from dfd.commands.members import Member
from dfd.config import EvaluationConfig
from dfd.evaluation.leaderboard import pair
from dfd.evaluation.paired import as_json
from dfd.evaluation.runs import Result, read_runs


def published(member: Member, split: str) -> Result | None:
    """What the member's run was measured to be on a split of its data; None if it was not."""
    own = [each for each in read_runs([member.run]).results if each.metrics["split"] == split]
    return own[0] if own else None


def scored(member: Member, table: pd.DataFrame) -> Result:
    """The member's predictions, as something to compare with."""
    return _result(member, table, member.bundle.calibration.threshold)


def against(
    table: pd.DataFrame, threshold: float, best: Member, own: Result | None, settings: EvaluationConfig
) -> dict[str, Any]:
    """What metrics.json says of the ensemble's predictions less those of its best member, `own`."""
    if own is None:
        return {}
    found = pair(_result(best, table, threshold), own, settings.resamples, settings.seed)
    if isinstance(found, str):
        return {"against_best_member": {"member": best.name, "reason": found}}
    return {"against_best_member": {"member": best.name, **as_json(found[0])}}


def _result(member: Member, table: pd.DataFrame, threshold: float) -> Result:
    """`table` may have a threshold for each row."""
    rows = table[table["error"].isna()].reset_index(drop=True)
    return Result(member.run, {}, rows.assign(called_fake=rows["prob"] >= rows.get("threshold", threshold)), None)
