"""What only whole processes show: a kill, an interruption, and several ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from dfd.cli import main
from tests.commands.conftest import Trained, gan_arguments, newest_run, tiny_arguments

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ONE, TWO = [sys.executable], [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def dfd(folder: Path, *arguments: str, launcher: list[str] = ONE) -> None:
    """Run to a good end."""
    folder.mkdir(exist_ok=True)
    command = [*launcher, "-m", "dfd", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


def here(folder: Path, *arguments: str) -> None:
    """The same in this process."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*arguments]) == 0


def after(lines: str, folder: Path, *arguments: str) -> int:
    """The exit code of two ranks of dfd that begin with some lines of Python."""
    folder.mkdir()
    (folder / "begin.py").write_text(f"{lines}; from dfd.cli import main; raise SystemExit(main())")
    command = [*TWO, "begin.py", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, check=False, timeout=300
    ).returncode


def _hear_ctrl_c() -> None:
    """A shell's background jobs, and all they start, ignore SIGINT: these tests may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run and wait until it has written its first epoch."""
    folder.mkdir()
    command = [sys.executable, "-m", "dfd", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("outputs/train/*/*/train.csv")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    return process


def result_of(folder: Path) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    run = newest_run(folder)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics.pop("inference_ms")
    history = pd.read_csv(run / "train.csv").drop(columns=["images_per_s", "seconds"])
    return metrics, history, pd.read_parquet(run / "predictions.parquet")


def assert_equal(one: Path, other: Path) -> None:
    (metrics, *tables), (others, *other_tables) = result_of(one), result_of(other)
    assert metrics == others
    for table, other_table in zip(tables, other_tables, strict=True):
        pd.testing.assert_frame_equal(table, other_table)


LONG = ("trainer.epochs=40", "trainer.checkpoint_seconds=0.05", "model.dropout=0.1")


@pytest.fixture(scope="module")
def whole(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of a long run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    here(folder, *tiny_arguments(trained.images, *LONG))
    return folder


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_a_stopped_run_resumes_to_the_same_result(
    trained: Trained, whole: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    arguments = tiny_arguments(trained.images, *LONG)
    process = begin(tmp_path / "parts", *arguments)
    time.sleep(0.1)  # it ends some two seconds after its first epoch
    process.send_signal(stop)
    _, error = process.communicate(timeout=60)
    assert not list((tmp_path / "parts").glob("outputs/train/*/*/metrics.json")), "the run ended before it was stopped"
    if stop != signal.SIGKILL:
        assert process.returncode == 130
        assert "resume=true" in error and "Traceback" not in error
    if stop == signal.SIGINT:
        return  # from here on it is what SIGTERM is
    here(tmp_path / "parts", *arguments, "resume=true")
    assert len(list((tmp_path / "parts").glob("outputs/train/*/*"))) == 1
    assert_equal(whole, tmp_path / "parts")


def test_two_ranks_measure_what_one_measures_with_each_image_once(trained: Trained, tmp_path: Path) -> None:
    bundle, data = f"bundle={trained.run}", ["data=folder", "data.name=tiny", f"data.source={trained.images}"]
    arguments = ["eval", bundle, *data, "runtime.device=cpu", "runtime.workers=0", "evaluation.resamples=100"]
    arguments += ["evaluation.batch_size=2", "runtime.precision=fp32"]
    here(tmp_path / "one", *arguments)
    dfd(tmp_path / "two", *arguments, launcher=TWO)
    runs = [newest_run(tmp_path / folder, "eval", "tiny") for folder in ("one", "two")]
    tables = [pd.read_parquet(run / "predictions.parquet") for run in runs]
    pd.testing.assert_frame_equal(*tables)
    assert not tables[0]["path"].duplicated().any()
    metrics = [json.loads((run / "metrics.json").read_text()) for run in runs]
    assert metrics[0]["overall"] == metrics[1]["overall"]
    assert metrics[1]["device"].endswith("2 processes")
    assert len(list((tmp_path / "two" / "outputs" / "eval" / "tiny").iterdir())) == 1


def test_two_ranks_train_together(trained: Trained, tmp_path: Path) -> None:
    dfd(tmp_path, *tiny_arguments(trained.images), launcher=TWO)
    metrics, history, predictions = result_of(tmp_path)
    assert len(history) == 2 and not predictions["path"].duplicated().any()
    assert metrics["n"] == len(predictions)


def test_two_ranks_train_a_gan_and_go_on_where_they_were_killed(gan: Trained, tmp_path: Path) -> None:
    arguments = gan_arguments(gan.images, "gan.kimg=0.064", "gan.checkpoint_seconds=0")
    no_detector = "import dfd.commands.gan_detector as d; d.run = lambda *_: 0"
    assert after(no_detector, tmp_path / "whole", *arguments) == 0
    killed = "import dfd.training.checkpoint as c, os; s = c.save_state; n = []; c.save_state = lambda *a: (s(*a), "
    killed += "n.append(0), len(n) == 5 and os._exit(9))"
    assert after(killed, tmp_path / "parts", *arguments) != 0
    dfd(tmp_path / "parts", *arguments, "resume=true", launcher=TWO)
    runs = [newest_run(tmp_path / name, "gan-train") for name in ("whole", "parts")]
    whole, parts = (load_file(run / "generator" / "generator.safetensors") for run in runs)
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    tables = [pd.read_csv(run / "train.csv").drop(columns=["images_per_s", "seconds"]) for run in runs]
    pd.testing.assert_frame_equal(*tables)
