import json
from pathlib import Path
from types import SimpleNamespace

from dfd.commands.against import against, published
from dfd.config import EvaluationConfig
from tests.runs import scores, write_run


def test_a_class_of_one_group_leaves_a_comparison_that_json_can_hold(tmp_path: Path) -> None:
    """Its standard error is infinite."""
    table = scores(2, 0, n=40, images=20)
    best = SimpleNamespace(run=write_run(tmp_path, table, "one"), name="one")
    own = published(best, "test")  # type: ignore[arg-type]
    found = against(scores(1, 1, n=40, images=20), 0.5, best, own, EvaluationConfig(resamples=100))  # type: ignore[arg-type]
    told = json.loads(json.dumps(found, allow_nan=False))["against_best_member"]
    assert (told["member"], told["n"], told["differences"]["auroc"]["error"]) == ("one", 40, None)
