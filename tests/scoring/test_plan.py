import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfd.errors import UserError
from dfd.scoring import inputs, listing
from dfd.scoring.inputs import IMAGE, ROWS, SHARD
from dfd.scoring.listing import Entry
from dfd.scoring.plan import TASKS, Plan, Skipped, Task, tasks_of
from dfd.scoring.tables import Columns
from tests.scoring.conftest import encoded, tar_of

COLUMNS = Columns("bytes", None)


def tasks(room: Path, *texts: str, part: int = 5, skipped: Skipped | None = None) -> list[Task]:
    return list(tasks_of(list(texts), COLUMNS, part, room, skipped or Skipped()))


def names(found: list[Task]) -> list[str]:
    return [entry.path for task in found for entry in task.entries]


@pytest.fixture
def mixed(photos: Path) -> Path:
    """The photos with a shard and a table beside them."""
    (photos / "a.tar").write_bytes(tar_of([("x.png", encoded(0))]))
    pq.write_table(pa.table({"bytes": [encoded(number) for number in range(7)]}), photos / "b.parquet")
    return photos.parent


def test_inputs_are_cut_into_slices_in_order(mixed: Path) -> None:
    skipped = Skipped()
    found = tasks(mixed, "photos", "photos/*.tar", "photos/b.parquet", part=5, skipped=skipped)
    assert [task.number for task in found] == list(range(6))
    assert [(task.kind, task.images) for task in found] == [
        *((IMAGE, 5), (IMAGE, 5), (IMAGE, 3), (SHARD, None), (ROWS, 5), (ROWS, 2))
    ]
    assert names(found[:3]) == sorted(map(str, Path("photos").glob("*/*")))
    assert found[4].rows == (0, 5) and found[5].rows == (5, 7)
    assert skipped.files == 3  # notes.txt, and in a folder only images count


def test_each_image_counts_once_whatever_names_it(mixed: Path) -> None:
    all_of_it = ("photos/0/02.png", "photos", f"{mixed}/photos/*/0*.png", "photos/1/bad.jpg", "photos/**")
    with pytest.raises(UserError, match="none that an earlier input has not"):
        tasks(mixed, *all_of_it[:4])
    found = tasks(mixed, "photos/0/02.png", "photos", "photos/**")
    assert len(names(found)) == len(set(names(found)) | {"photos/b.parquet"}) + 1  # the table's two slices
    assert "photos/a.tar" in names(found)  # which the folder did not give


def test_a_file_that_is_named_is_taken_whatever_its_suffix(photos: Path) -> None:
    assert names(tasks(photos, "photos/notes.txt")) == ["photos/notes.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "no such file or folder: 'nowhere'. Accepted are folders, globs and files of images"),
        ("empty", "no images found, or none that an earlier input has not: 'empty'"),
        ("photos/*.txt", "1 other files are there"),
        ("foo://bar/x.tar", "accepted are paths and the protocols of fsspec"),
        ("bad.parquet", "bad.parquet is no Parquet file, or damaged"),
        ("folder.tar", "no images found"),
    ],
)
def test_an_input_that_gives_nothing_is_an_error(photos: Path, text: str, message: str) -> None:
    Path("empty").mkdir()
    Path("folder.tar").mkdir()
    Path("bad.parquet").write_text("hello")
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        tasks(photos, text)


def test_a_plan_is_read_as_it_was_written_and_from_any_place(mixed: Path) -> None:
    plan, made = Plan(mixed / "out"), tasks(mixed, "photos", "photos/a.tar", "photos/b.parquet", part=2)
    plan.write(iter(made), {"bundle": "abc"})
    stored = list(plan.tasks())
    assert [task for _, task in stored] == made
    assert all(plan.read(place) == task for place, task in stored)
    about = plan.about
    assert about is not None and (about["tasks"], about["images"]) == (len(made), 20)
    assert about["shard_bytes"] == Path("photos/a.tar").stat().st_size
    assert list(plan.folder.glob(".*")) == []


def test_the_digest_names_the_work(mixed: Path) -> None:
    digests = set()
    for number, (part, bundle) in enumerate([(2, "a"), (3, "a"), (2, "b"), (2, "a")]):
        plan = Plan(mixed / str(number))
        plan.write(iter(tasks(mixed, "photos", part=part)), {"bundle": bundle})
        digests.add(json.loads((plan.folder / "_plan.json").read_text())["digest"])
    assert len(digests) == 3


def test_a_change_is_named(photos: Path) -> None:
    plan = Plan(photos.parent / "out")
    plan.write(iter(tasks(photos, "photos")), {"bundle": "abc", "part": 5})
    plan.check({"bundle": "abc", "part": 5})
    plan.check_tasks(iter(tasks(photos, "photos")))
    with pytest.raises(UserError, match="holds scores with bundle=abc, and this is bundle=def"):
        plan.check({"bundle": "def", "part": 5})

    def refused(message: str) -> None:
        with pytest.raises(UserError, match=f"{plan.folder} holds scores of other inputs: {message}; choose another"):
            plan.check_tasks(iter(tasks(photos, "photos")))

    new = photos / "1" / "zz.png"
    new.write_bytes(b"")
    refused("photos/1/zz.png is new")
    new.unlink()
    (photos / "1" / "11.png").write_bytes(b"other")
    refused("photos/1/11.png has changed")
    (photos / "1" / "bad.jpg").unlink()
    (photos / "1" / "11.png").unlink()
    refused("photos/1/bad.jpg in place of photos/1/11.png|photos/1/11.png is gone")


def test_a_plan_cut_short_is_no_plan(photos: Path) -> None:
    plan = Plan(photos.parent / "out")
    plan.write(iter(tasks(photos, "photos")), {})
    (plan.folder / "_plan.json").unlink()
    assert plan.about is None
    file = plan.folder / TASKS
    file.write_bytes(file.read_bytes()[:-5])
    assert len(list(plan.tasks())) == 2


def test_planning_takes_no_more_memory_for_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "RUN", 1000)
    monkeypatch.setattr(listing, "BLOCK", 512)
    (tmp_path / "photos").mkdir()

    def most(count: int) -> int:
        def listed(folder: str) -> Iterator[Entry]:
            return (Entry(f"{folder}/{(at * 7919) % count:09}.jpg", at, "1700000000000000000") for at in range(count))

        monkeypatch.setattr(inputs.listing, "walk", listed)
        plan = Plan(tmp_path / "out")
        tracemalloc.start()
        plan.write(tasks_of([str(tmp_path / "photos")], COLUMNS, 100, tmp_path, Skipped()), {})
        plan.check_tasks(tasks_of([str(tmp_path / "photos")], COLUMNS, 100, tmp_path, Skipped()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(12_000) < 1.5 * most(3_000)
