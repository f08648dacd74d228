import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfd.config import RuntimeConfig
from dfd.models import bundle as bundles
from dfd.scoring.cluster import Actor, Networks
from dfd.scoring.plan import Plan, Skipped, tasks_of
from dfd.scoring.scorer import Job
from dfd.scoring.tables import Columns
from tests.factories import tiny_bundle

COLUMNS = Columns("bytes", None)


def reported(folder: Path, cwd: Path | None) -> dict:
    """What an actor says of the first task of `photos`, typed in `folder`."""
    bundles.save(tiny_bundle(), folder / "tiny")
    plan = Plan(folder / "out")
    plan.write(tasks_of(["photos"], COLUMNS, 20, folder, Skipped()), {})
    networks = Networks(folder / "tiny", None, RuntimeConfig(device="cpu", precision="fp32", workers=0))
    actor = Actor(networks, Job(plan.folder, "abc", 20, 8, 10**6, COLUMNS, cwd))
    with pytest.MonkeyPatch.context() as patch:
        (folder / "elsewhere").mkdir()
        patch.chdir(folder / "elsewhere")
        answer = actor({"place": np.array([0]), "parts": np.array([0])})
    return dict(json.loads(answer["report"][0]))


def test_an_actor_finds_relative_inputs_wherever_it_runs(photos: Path) -> None:
    report = reported(photos.parent, photos.parent)
    assert report["parts"][0]["rows"] == 13 and report["parts"][0]["counts"]["error"] == 1
    assert "photos/0/00.png" in set(pd.read_parquet(photos.parent / "out")["path"])


def test_a_node_without_the_working_folder_says_so(photos: Path) -> None:
    report = reported(photos.parent, photos.parent / "nowhere")
    assert "nowhere" in report["error"] and not list(photos.parent.glob("out/part-*"))
