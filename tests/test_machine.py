import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfd import machine


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for limits of containers, on a machine with 64 cores."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("400000 100000", 4), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64), ("9900000 100000", 64)],
)
def test_a_containers_share_of_the_cores_counts(cgroups: Path, limit: str, cores: int) -> None:
    (cgroups / "cpu.max").write_text(limit + "\n")
    assert machine.available_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("250000", 3), ("-1", 64)])
def test_the_older_kind_of_limit_counts_too(cgroups: Path, quota: str, cores: int) -> None:
    (cgroups / "cpu").mkdir()
    (cgroups / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (cgroups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.available_cores() == cores


@pytest.mark.parametrize("text", [None, "", "much", "400000 0"])
def test_without_a_limit_that_can_be_read_the_machines_cores_count(cgroups: Path, text: str | None) -> None:
    if text is not None:
        (cgroups / "cpu.max").write_text(text)
    assert machine.available_cores() == 64


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_is_bounded_within_the_block_and_not_after_it() -> None:
    script = """
from dfd import machine
with machine.bounded_memory(64 << 20):
    bytearray(32 << 20)
    try:
        bytearray(256 << 20)
    except MemoryError:
        print("refused")
bytearray(256 << 20)
print("free")
"""
    # In a process of its own: this one may keep freed memory, which is no new memory.
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["refused", "free"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_kept_memory_is_given_back_when_asked() -> None:
    script = """
from pathlib import Path
from dfd import machine
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
machine.keep_freed()
before = resident()
for _ in range(2):
    bytearray(b"x" * (200 << 20))
machine.give_back_now()
print(resident() - before)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 50


def test_a_bound_above_the_systems_own_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with machine.bounded_memory(1 << 62):
        assert len(bytearray(1 << 20)) == 1 << 20
