import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfd.cli import main
from dfd.models import bundle as bundles
from tests.commands.conftest import Refused
from tests.factories import tiny_bundle, tiny_ensemble, two_class_folder

QUICK = ("runtime.device=cpu", "runtime.workers=0", "runtime.precision=fp32", "batch_size=8")
BUNDLE = "bundle=tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images as files, a shard and a table; two bundles."""
    folder = tmp_path_factory.mktemp("score")
    two_class_folder(folder / "images")
    files = sorted((folder / "images").glob("*/*.png"))
    with tarfile.open(folder / "s.tar.gz", "w:gz") as archive:
        for file in files:
            archive.add(file, file.relative_to(folder / "images"))
    images = [{"bytes": file.read_bytes(), "path": f"{file.parent.name}/{file.name}"} for file in files]
    pq.write_table(pa.table({"image": images}), folder / "t.parquet", row_group_size=16)
    bundles.save(tiny_bundle(), folder / "tiny")
    bundles.save(tiny_bundle("other", 1), folder / "other")
    bundles.save(tiny_ensemble(), folder / "both")
    return folder


@pytest.fixture
def work(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which they can be seen."""
    for name in ("images", "s.tar.gz", "t.parquet", "tiny", "other", "both"):
        os.symlink(folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(out: str = "scores") -> pd.DataFrame:
    return pd.read_parquet(out)


def predicted(bundle: str = BUNDLE) -> pd.DataFrame:
    assert main(["predict", "images", bundle, *QUICK, "output=predicted.parquet"]) == 0
    return pd.read_parquet("predicted.parquet").sort_values("path", ignore_index=True)


@pytest.mark.parametrize(
    ("inputs", "start"),
    [
        (["images"], "images/"),
        (["images/*/*.png"], "images/"),
        (["s.tar.gz"], "s.tar.gz/"),
        (["t.parquet", "bytes_column=image"], "t.parquet/"),
    ],
)
def test_every_kind_of_input_has_the_scores_of_predict(work: Path, inputs: list[str], start: str) -> None:
    assert main(["score", *inputs, "out=scores", BUNDLE, *QUICK, "part=15"]) == 0
    table, wanted = scores().sort_values("path", ignore_index=True), predicted()
    assert list(table["path"]) == [path.replace("images/", start) for path in wanted["path"]]
    assert np.allclose(table["logit"], wanted["logit"], atol=1e-5)
    assert np.allclose(table["prob"], wanted["prob"], atol=1e-5) and table["verdict"].equals(wanted["verdict"])
    done = json.loads((work / "scores" / "_scores.json").read_text())
    assert done["images"] == 40 == sum(part["rows"] for part in done["parts"]) and len(done["parts"]) == 3


def test_rows_do_not_depend_on_the_workers(work: Path) -> None:
    for out, workers in (("none", 0), ("two", 2)):
        settings = [*QUICK, f"runtime.workers={workers}", "part=15"]
        assert main(["score", "images", "s.tar.gz", f"out={out}", BUNDLE, *settings]) == 0
    pd.testing.assert_frame_equal(scores("none"), scores("two"), check_exact=True)
    names = [sorted(path.name for path in (work / out).iterdir()) for out in ("none", "two")]
    assert names[0] == names[1] and "part-000003-0002.parquet" in names[0]


def test_an_ensemble_has_the_logits_of_its_members(work: Path) -> None:
    assert main(["score", "images", "out=scores", "bundle=both", *QUICK]) == 0
    table = scores().sort_values("path", ignore_index=True)
    assert np.allclose(table["logit"], predicted("bundle=both")["logit"], atol=1e-5)
    assert main(["score", "images", "out=first", BUNDLE, *QUICK]) == 0  # the first member is the tiny bundle
    assert np.allclose(scores()["member_first"], scores("first")["logit"], atol=1e-5)


def test_a_manifest_hands_down_what_is_known(work: Path) -> None:
    data = ["data=folder", "data.name=tiny", f"data.source={work / 'images'}"]
    assert main(["data", "prepare", *data]) == 0
    assert main(["score", "data/prepared/tiny", "out=scores", BUNDLE, *QUICK]) == 0
    manifest = pd.read_parquet("data/prepared/tiny/manifest.parquet")
    table = scores()
    for name in ("path", "label", "split", "source", "sha256"):
        assert list(table[name]) == list(manifest[name])
    assert list(table["group"]) == list(manifest["group"].astype(str)) and table["error"].isna().all()


def test_what_cannot_be_used_is_a_row_and_the_exit_code_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "in").mkdir()
    (work / "in" / "empty.jpg").touch()
    (work / "in" / "text.png").write_text("hello")
    os.mkfifo(work / "in" / "pipe.jpg")
    os.symlink("/nowhere", work / "in" / "link.jpg")
    (work / "in" / "notes.txt").touch()
    (work / "cut.tar.gz").write_bytes((work / "s.tar.gz").read_bytes()[:3000])
    arguments = ["score", "in", "images/real/000.png", "cut.tar.gz", "out=scores", BUNDLE, *QUICK]
    assert main(arguments) == 3
    table = scores().set_index("path")
    reasons = table["error"].dropna()
    assert reasons["in/empty.jpg"] == "empty file" and reasons["in/text.png"] == "not an image"
    assert reasons["in/pipe.jpg"] == "not a regular file" and reasons["in/link.jpg"] == "a link to nothing"
    assert "archive can't be read any further" in reasons["cut.tar.gz"] and len(reasons) == 5
    told = capsys.readouterr().out
    assert "5 could not be used" in told and "1 other files in these folders are no images" in told
    assert main(arguments) == 3
    assert "all of them were scored already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to score: name folders, globs, manifests"),
        (["nowhere"], "no such file or folder: 'nowhere'"),
        (["t.parquet"], "bytes_column=bytes: this column is not there in t.parquet; bytes are in: image"),
        (["images", "out=s3://bucket/scores"], "out=s3://bucket/scores: parts are written to a folder of this machine"),
        (["images", "address=head:6379"], "address=head:6379 is for engine=ray"),
        (["images", "out=images/real/000.png"], "images/real/000.png can't be made: it is no folder"),
        (["images", "part=0"], "part=0 is too small: accepted is 1 or more"),
    ],
)
def test_a_mistake_is_one_message(work: Path, refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused(["score", *arguments, BUNDLE, *QUICK])
    assert not list(work.glob("scores/part*"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([BUNDLE.replace("tiny", "other")], "scores with bundle="),
        (["part=20"], "scores with part=15, and this is part=20"),
        (["max_pixels=5"], "scores with max_pixels=1000000, and this is max_pixels=5"),
        (["runtime.precision=bf16"], "scores with runtime.precision=fp32, and this is runtime.precision=bf16"),
        (["s.tar.gz"], "holds scores of other inputs: s.tar.gz is new"),
    ],
)
def test_other_work_is_not_mixed_into_scores(
    work: Path, capsys: pytest.CaptureFixture[str], changed: list[str], message: str
) -> None:
    first = ["score", "images", "out=scores", BUNDLE, *QUICK, "part=15"]
    assert main(first) == 0
    before = {path: path.read_bytes() for path in (work / "scores").iterdir()}
    assert main([*first, *changed]) == 2
    error = capsys.readouterr().err
    assert message in error and "choose another folder with out=, or remove that one" in error
    assert {path: path.read_bytes() for path in (work / "scores").iterdir()} == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda one: replace(one, calibration=replace(one.calibration, bias=0.5)), "scores with calibration.bias=0.1"),
        (
            lambda one: replace(one, calibration=replace(one.calibration, unsure_high=0.9)),
            "calibration.unsure_high=0.9",
        ),
        (lambda one: tiny_bundle(fit="square"), "scores with preprocessing="),
    ],
)
def test_one_network_read_in_another_way_is_other_work(
    work: Path, refused: Refused, other: Callable[..., bundles.Bundle], message: str
) -> None:
    """The weights are the same, and with them what names the bundle."""
    assert main(["score", "images", "out=scores", BUNDLE, *QUICK]) == 0
    assert main(["score", "images", "out=scores", BUNDLE, *QUICK]) == 0
    bundles.save(other(tiny_bundle()), work / "changed")
    assert message in refused(["score", "images", "out=scores", "bundle=changed", *QUICK])


def test_inputs_that_are_named_like_parts_stay(work: Path, refused: Refused) -> None:
    (work / "in").mkdir()
    theirs = work / "in" / "part-000000.parquet"
    theirs.write_bytes((work / "t.parquet").read_bytes())
    assert "part-000000.parquet was not written by dfd score; choose another folder" in refused(
        ["score", "in/*.parquet", "out=in", "bytes_column=image", BUNDLE, *QUICK]
    )
    assert theirs.read_bytes() == (work / "t.parquet").read_bytes()
    assert sorted(path.name for path in (work / "in").iterdir()) == ["_lock", "part-000000.parquet"]


def test_what_is_there_is_not_scored_again(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", "images", "s.tar.gz", "out=scores", BUNDLE, *QUICK, "part=15"]
    assert main(arguments) == 0
    whole = scores()
    times = {path.name: path.stat().st_mtime_ns for path in (work / "scores").glob("part*")}
    for name in ("part-000001.parquet", "part-000003-0001.parquet", "_scores.json"):
        (work / "scores" / name).unlink()
    assert main(arguments) == 0
    assert "50 images are scored already" in capsys.readouterr().out
    pd.testing.assert_frame_equal(scores(), whole, check_exact=True)
    again = {path.name for path in (work / "scores").glob("part*") if path.stat().st_mtime_ns != times[path.name]}
    assert {"part-000001.parquet", "part-000003-0001.parquet"} <= again
    assert not again & {"part-000000.parquet", "part-000002.parquet", "part-000003-0000.parquet"}


# Whole processes

ARGUMENTS = (BUNDLE, "runtime.device=cpu", "runtime.precision=fp32", "batch_size=8", "part=25")


SLOWLY = """
import time
from dfd.cli import main
from dfd.scoring import parts
write = parts.write
parts.write = lambda *one: (write(*one), time.sleep(0.2))[0]
raise SystemExit(main())
"""  # so that a stop comes in the middle of the work on any machine


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "score", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # as from a terminal
    )


def wait_for(process: subprocess.Popen[str], out: Path, parts: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(out.glob("part-*"))) < parts:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)


def test_kills_and_ctrl_c_cost_no_row_and_double_none(work: Path) -> None:
    """600 images; every stop comes in the middle of the work."""
    files = sorted((work / "images").glob("*/*.png"))
    many = work / "many"
    many.mkdir()
    for number in range(560):
        os.link(files[number % 40].resolve(), many / f"{number:03}.png")
    (many / "bad.png").write_text("hello")
    inputs, out = ("many", "s.tar.gz", "out=scores"), work / "scores"
    for stop, parts, workers in ((signal.SIGKILL, 3, 1), (signal.SIGINT, 9, 0)):
        process = begin(work, *inputs, *ARGUMENTS, f"runtime.workers={workers}")
        wait_for(process, out, parts)
        os.kill(process.pid, stop) if stop == signal.SIGKILL else os.killpg(process.pid, stop)
        _, error = process.communicate(timeout=60)
        assert not (out / "_scores.json").exists(), "the run ended before it was stopped"
    assert process.returncode == 130 and "The same command goes on" in error and "Traceback" not in error
    assert main(["score", *inputs, *ARGUMENTS, "runtime.workers=0"]) == 3
    table = scores(str(out))
    assert len(table) == 601 and table["path"].is_unique and table["error"].notna().sum() == 1
    assert json.loads((out / "_scores.json").read_text())["images"] == 601
    assert not list(out.glob(".*"))
    assert main(["score", *inputs[:2], "out=whole", *ARGUMENTS, "runtime.workers=1"]) == 3
    pd.testing.assert_frame_equal(table, scores("whole"), check_exact=True)


@pytest.mark.slow
def test_ray_has_the_same_rows_and_goes_on(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    inputs = ["images", "s.tar.gz", "t.parquet", "bytes_column=image", "bundle=both", *QUICK, "part=15"]
    assert main(["score", *inputs, "out=local"]) == 0
    assert main(["score", *inputs, "out=ray", "engine=ray"]) == 0
    pd.testing.assert_frame_equal(scores("local"), scores("ray"), check_exact=False, atol=1e-5)
    assert sorted(path.name for path in (work / "ray").iterdir()) == sorted(
        path.name for path in (work / "local").iterdir()
    )
    for name in ("part-000001.parquet", "part-000003-0002.parquet", "_scores.json"):
        (work / "ray" / name).unlink()
    assert main(["score", *inputs, "out=ray"]) == 0  # what Ray began this machine finishes
    assert "95 images are scored already" in capsys.readouterr().out
    pd.testing.assert_frame_equal(scores("local"), scores("ray"), check_exact=False, atol=1e-5)


def test_ray_that_is_not_there_is_one_message(
    work: Path, capsys: pytest.CaptureFixture[str], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        assert "pip install 'ray[data]'" in refused(["score", "images", "out=scores", BUNDLE, *QUICK, "engine=ray"])
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    arguments = ["images", "out=scores", BUNDLE, *QUICK, "engine=ray", "address=127.0.0.1:1"]
    assert main(["score", *arguments]) == 2
    error = capsys.readouterr().err
    assert "address=127.0.0.1:1: no Ray cluster can be reached there" in error and "Traceback" not in error
