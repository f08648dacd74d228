import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch

from dfd.cli import main
from dfd.models import bundle as bundles
from dfd.serving.guard import Guard
from tests.commands.conftest import Refused
from tests.factories import tiny_bundle
from tests.serving.running import form, png

KEY = "0123456789abcdef"
QUICK = ("runtime.device=cpu", "workers=1", "port=0")


@pytest.fixture
def bundle(workdir: Path) -> Path:
    bundles.save(tiny_bundle(), workdir / "tiny" / "bundle")
    return workdir / "tiny"


@contextmanager
def serving(bundle: Path, *more: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """`dfd serve` in a process of its own, and where it listens."""
    arguments = [sys.executable, "-m", "dfd", "serve", f"bundle={bundle}", *QUICK, *more]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            url = re.match(r"http://127\.0\.0\.1:\d+", first)
            assert url, first + process.stderr.read()
            for _ in range(600):
                try:
                    if httpx.get(f"{url[0]}/v2/health/ready", timeout=5).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
            yield process, url[0]
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found += [int(path.parent.name), *children(int(path.parent.name))]
    return found


def test_it_answers_who_shows_the_key_and_ends_in_order_on_sigterm(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(bundle, "api_key_env=MY_KEY") as (process, url):
        assert httpx.get(f"{url}/v1/bundle").status_code == 401
        answer = httpx.post(f"{url}/v1/predict", files=form(png()), timeout=60, headers={"X-API-Key": KEY})
        assert answer.status_code == 200 and answer.json()["bundle"]["name"] == "tiny"
        started = children(process.pid)
        assert started
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["start", "request", "request", "end"]
    assert (lines[1]["status"], lines[2]["status"], lines[2]["route"]) == (401, 200, "/v1/predict")
    assert KEY not in out + errors
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["host=203.0.113.7"], "host=203.0.113.7 is no address of this machine"),
        (["bundle=nowhere"], "bundle=nowhere: no bundle.yaml there"),
        (["workers=0"], "workers=0: accepted is 1 or more, or -1"),
        (["port=70000"], "port=70000 is too large"),
        (["max_bytes=0"], "max_bytes=0 is too small"),
    ],
)
def test_a_mistake_is_one_message(bundle: Path, refused: Refused, arguments: list[str], message: str) -> None:
    given = {word.partition("=")[0]: word for word in ("runtime.device=cpu", "port=0", f"bundle={bundle}", *arguments)}
    assert message in refused(["serve", *given.values()])


def test_a_port_in_use_is_one_message(bundle: Path, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port={port} is in use on 127.0.0.1" in refused(["serve", f"bundle={bundle}", f"port={port}"])


@pytest.mark.parametrize("key", ["", "short", "123456789012345"])
def test_a_key_that_protects_nothing_is_refused(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    assert main(["serve", f"bundle={bundle}", "port=0", "api_key_env=MY_KEY"]) == 2
    error = capsys.readouterr().err
    assert f"api_key_env=MY_KEY: the key there has {len(key)} characters" in error


class Brief:
    """In the server's place: ends at once, and keeps what it was given."""

    key: str | None = None
    threads = 0

    def __init__(self, guarded: Guard, service: object) -> None:
        Brief.key, Brief.threads = guarded._key, torch.get_num_threads()

    def run(self, sockets: object) -> None:
        """Serve nobody."""


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> type[Brief]:
    monkeypatch.setattr("dfd.commands.serve.Server", Brief)
    monkeypatch.delenv("MY_KEY", raising=False)
    return Brief


@pytest.mark.parametrize(
    ("host", "key", "warned"), [("0.0.0.0", None, True), ("0.0.0.0", KEY, False), ("127.0.0.1", None, False)]
)
def test_who_is_open_to_the_network_without_a_key_is_warned(
    bundle: Path,
    brief: type[Brief],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    key: str | None,
    warned: bool,
) -> None:
    if key:
        monkeypatch.setenv("MY_KEY", key)
    assert main(["serve", f"bundle={bundle}", *QUICK, f"host={host}", "api_key_env=MY_KEY"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("WARNING")]
    assert [("MY_KEY" in line and host in line) for line in told] == [True] * warned


def test_the_end_of_the_secrets_file_is_no_part_of_the_key(
    bundle: Path, brief: type[Brief], monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("MY_KEY", KEY + "\n")
    assert main(["serve", f"bundle={bundle}", *QUICK, "api_key_env=MY_KEY"]) == 0
    assert brief.key == KEY
    monkeypatch.setenv("MY_KEY", KEY[1:] + "\n")
    assert "has 15 characters" in refused(["serve", f"bundle={bundle}", *QUICK, "api_key_env=MY_KEY"])


@pytest.mark.parametrize("count", [0, 4])
def test_workers_that_serving_would_not_have_are_refused(
    bundle: Path, brief: type[Brief], refused: Refused, count: int
) -> None:
    message = refused(["serve", f"bundle={bundle}", *QUICK, f"runtime.workers={count}"])
    assert f"runtime.workers={count} has no part in dfd serve; set workers, " in message


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (64, 2)])
def test_it_computes_on_no_more_threads_than_it_has_cores(
    bundle: Path, brief: type[Brief], monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("dfd.machine.available_cores", lambda: cores)
    torch.set_num_threads(2)
    try:
        assert main(["serve", f"bundle={bundle}", *QUICK]) == 0
    finally:
        torch.set_num_threads(before)
    assert brief.threads == threads
