import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfd.config import RuntimeConfig
from dfd.errors import UserError
from dfd.inference.engine import Engine, TorchEngine
from dfd.runtime import start
from dfd.scoring.item import Item, Known
from dfd.scoring.listing import Entry
from dfd.scoring.parts import Part, Scored, _files, alone, present, refuse_others, write
from dfd.scoring.plan import Plan, Task
from dfd.scoring.result import finish, state_of
from tests.factories import tiny_bundle, tiny_ensemble

SHARD = Task(3, "tar", (Entry("s.tar", 10, ""),))
FILES = Task(4, "image", tuple(Entry(f"{at}.jpg", 1, "") for at in range(3)))
CONTRACT = ["path", "label", "split", "source", "group", "sha256", "logit", "prob", "verdict", "error"]


def engine_of(ensemble: bool = False) -> Engine:
    runtime = start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)
    return TorchEngine(tiny_ensemble() if ensemble else tiny_bundle(), runtime)


def scored(task: Task, number: int, engine: Engine, reasons: list[str | None]) -> Scored:
    values = np.linspace(-3, 3, len(reasons) * engine.width, dtype=np.float32).reshape(len(reasons), engine.width)
    values[[reason is not None for reason in reasons]] = np.nan
    items = [Item(f"{at}.jpg", b"", Known(1, "test", "gan", "g", "abc")) for at in range(len(reasons))]
    return Scored(task, number, items, reasons, values)


def test_a_part_has_the_columns_of_predictions_whatever_is_in_it(tmp_path: Path) -> None:
    engine = engine_of()
    schemas = []
    for number, reasons in enumerate([[None, "truncated", None], ["gone"], [None], []]):
        part = write(tmp_path, scored(SHARD, number, engine, reasons), engine, False, "abc")
        assert part.name == f"part-000003-000{number}.parquet" and part.rows == len(reasons)
        schemas.append(pq.read_schema(tmp_path / part.name).remove_metadata())
    assert len(set(map(str, schemas))) == 1 and schemas[0].names == CONTRACT
    table = pd.read_parquet(tmp_path)
    assert len(table) == 5 and table["error"].dropna().tolist() == ["truncated", "gone"]
    assert table["logit"].isna().tolist() == table["error"].notna().tolist() == table["verdict"].isna().tolist()
    row = table.iloc[0]
    assert row["logit"] == -3 and row["prob"] == engine.bundle.calibration.prob(np.array([-3.0]))[0]
    assert row[CONTRACT[1:6]].tolist() == [1, "test", "gan", "g", "abc"]


def test_members_of_an_ensemble_have_columns_of_their_own(tmp_path: Path) -> None:
    engine = engine_of(ensemble=True)
    made = scored(FILES, 0, engine, [None, "gone", None])
    write(tmp_path, made, engine, True, "abc")
    table = pd.read_parquet(tmp_path / "part-000004.parquet")
    assert list(table.columns) == [*CONTRACT, "member_first", "member_second"]
    good = table[table["error"].isna()]
    assert np.allclose(good[["member_first", "member_second"]], engine.member_logits(made.values[[0, 2]]))
    assert table.loc[1, ["member_first", "member_second"]].isna().all()


def test_a_logit_that_is_no_number_is_an_error_row(tmp_path: Path) -> None:
    engine = engine_of()
    made = scored(FILES, 0, engine, [None, None, None])
    made.values[1] = np.inf
    part = write(tmp_path, made, engine, True, "abc")
    assert part.counts["error"] == 1 and sum(part.counts.values()) == 3
    assert pd.read_parquet(tmp_path / part.name)["error"].tolist()[1] == "no finite score"


def test_only_whole_parts_of_the_plan_count(tmp_path: Path) -> None:
    engine = engine_of()
    for task, number in ((SHARD, 0), (SHARD, 1), (FILES, 0)):
        write(tmp_path, scored(task, number, engine, [None]), engine, task is FILES, "abc")
    assert [part.name for part in present(tmp_path, "abc")] == [
        "part-000003-0000.parquet", "part-000003-0001.parquet", "part-000004.parquet"
    ]  # fmt: skip
    cut = tmp_path / "part-000003-0000.parquet"
    cut.write_bytes(cut.read_bytes()[:-20])
    assert [part.number for part in present(tmp_path, "abc")] == [1, None]
    assert not cut.exists()
    with pytest.raises(UserError, match=r"part-000003-0001.parquet is no part of this plan"):
        list(present(tmp_path, "def"))


@pytest.mark.parametrize("metadata", [None, {b"dfd": b"{}"}, {b"dfd": b"no JSON"}, {b"dfd": b'{"task": 1}'}])
def test_a_table_of_the_users_is_never_removed(tmp_path: Path, metadata: dict[bytes, bytes] | None) -> None:
    theirs = tmp_path / "part-000000.parquet"
    pq.write_table(pa.table({"bytes": [b"a"]}).replace_schema_metadata(metadata), theirs)
    for see in (lambda: list(present(tmp_path, "abc")), lambda: refuse_others(tmp_path)):
        with pytest.raises(UserError, match=r"part-000000.parquet was not written by dfd score; choose another folder"):
            see()
    assert theirs.is_file()


def test_what_can_not_be_read_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "part-000000.parquet").mkdir()
    with pytest.raises(UserError, match=r"part-000000.parquet can't be read"):
        list(present(tmp_path, "abc"))


def test_a_damaged_table_is_ours_only_where_a_plan_is(tmp_path: Path) -> None:
    """Before there is a plan, nothing in the folder can be a part that a run has left."""
    damaged = tmp_path / "part-000000.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"part-000000.parquet was not written by dfd score"):
        refuse_others(tmp_path)
    assert damaged.is_file()


def test_a_shard_goes_on_at_the_first_part_that_is_missing(tmp_path: Path) -> None:
    engine, plan = engine_of(), Plan(tmp_path)
    plan.write(iter([SHARD, FILES]), {})
    for number, last in ((0, False), (2, True)):
        write(tmp_path, scored(SHARD, number, engine, [None, None]), engine, last, "abc")
    write(tmp_path, scored(FILES, 0, engine, [None] * 3), engine, True, "abc")
    assert [(todo.task, todo.parts) for _, todo in state_of(plan, "abc").todo()] == [(SHARD, 1)]
    write(tmp_path, scored(SHARD, 1, engine, [None, "gone"]), engine, False, "abc")
    state = state_of(plan, "abc")
    assert list(state.todo()) == [] and state.rows == 9
    done = finish(state, {"bundle": "b"})
    assert json.loads((tmp_path / "_scores.json").read_text()) == done
    assert done["images"] == 9 and done["errors"] == 1 and done["real"] + done["unsure"] + done["fake"] == 8
    assert [part["rows"] for part in done["parts"]] == [2, 2, 2, 3]


def test_more_than_ten_thousand_parts_are_in_their_order(tmp_path: Path) -> None:
    engine, plan = engine_of(), Plan(tmp_path)
    plan.write(iter([SHARD]), {})
    write(tmp_path, scored(SHARD, 0, engine, [None]), engine, False, "abc")
    content = (tmp_path / "part-000003-0000.parquet").read_bytes()
    for number in range(9_998, 10_003):
        (tmp_path / f"part-000003-{number:04}.parquet").write_bytes(content)
    assert [int(path.stem.rpartition("-")[2]) for path in _files(tmp_path)] == [0, *range(9_998, 10_003)]


def test_names_that_are_no_text_can_be_written_down(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    told = {"inputs": ["caf\udce9"]}
    plan.write(iter([]), told)
    plan.check(told)
    assert finish(state_of(plan, "abc"), told)["inputs"] == told["inputs"]
    assert json.loads((tmp_path / "_scores.json").read_text())["inputs"] == told["inputs"]


def test_two_processes_do_not_write_to_one_folder_and_what_a_killed_one_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".part-000001.4711.part.parquet"
    plan_left = tmp_path / "._plan.jsonl.4711.part.gz"
    left.touch()
    plan_left.touch()
    (tmp_path / "mine.txt").touch()
    with alone(tmp_path):
        assert not left.exists() and not plan_left.exists() and (tmp_path / "mine.txt").exists()
        with pytest.raises(UserError, match="another process is writing its scores there"), alone(tmp_path):
            pass
    with alone(tmp_path):
        pass


def test_names_of_parts() -> None:
    assert Part(12, None, 0).name == "part-000012.parquet" and Part(12, 3, 0).name == "part-000012-0003.parquet"
