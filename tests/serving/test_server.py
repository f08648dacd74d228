"""Overload, slow and rude clients, and the end."""

import concurrent.futures
import errno
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

from dfd.errors import UserError
from dfd.serving import batcher
from dfd.serving import server as servers
from dfd.serving.batcher import FAILURES
from dfd.serving.judging import Answer, Judge
from dfd.serving.server import listen
from tests.serving.running import Running, form, png, running


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Forward passes wait until this is set."""
    event = threading.Event()
    plain = Judge.__call__

    def waiting(self: Judge, inputs: Sequence[np.ndarray]) -> list[Answer]:
        event.wait(30)
        return plain(self, inputs)

    monkeypatch.setattr(Judge, "__call__", waiting)
    return event


def post(one: Running, *files: bytes) -> httpx.Response:
    return httpx.post(f"{one.url}/v1/predict", files=form(*files), timeout=60)


def until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_over_capacity_requests_are_turned_away_and_those_inside_get_answers(
    bundle_folder: Path, slow: threading.Event
) -> None:
    with running(bundle_folder, queue=4) as one, concurrent.futures.ThreadPoolExecutor(20) as pool:
        inside = [pool.submit(post, one, png(seed)) for seed in range(4)]
        until(lambda: one.service.gate.images == 4)
        outside = [pool.submit(post, one, png(9)) for _ in range(10)]
        for answer in (each.result(20) for each in outside):
            assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
            assert "busy" in answer.json()["detail"]
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert one.client.get(path, timeout=5).status_code == 200
        assert one.metric("dfd_shed_total") == 10
        slow.set()
        assert [each.result(30).status_code for each in inside] == [200] * 4
        assert post(one, png()).status_code == 200


def test_at_the_end_requests_in_work_finish_and_new_ones_are_turned_away(
    bundle_folder: Path, slow: threading.Event
) -> None:
    with running(bundle_folder, drain_seconds=20) as one, concurrent.futures.ThreadPoolExecutor(4) as pool:
        inside = pool.submit(post, one, png())
        until(lambda: one.service.gate.images == 1)
        one.server.handle_exit(15, None)
        until(lambda: one.client.get("/v2/health/ready").status_code == 503)
        assert one.client.get("/v2/health/live").status_code == 200
        refused = post(one, png())
        assert refused.status_code == 503 and "shutting down" in refused.json()["detail"]
        slow.set()
        assert inside.result(30).status_code == 200
        until(lambda: one.server.should_exit)


def test_the_end_does_not_wait_longer_than_agreed(bundle_folder: Path, slow: threading.Event) -> None:
    with running(bundle_folder, drain_seconds=0.3) as one, concurrent.futures.ThreadPoolExecutor(4) as pool:
        inside = pool.submit(post, one, png())
        until(lambda: one.service.gate.images == 1)
        one.server.handle_exit(15, None)
        until(lambda: one.server.should_exit)
        slow.set()
        inside.exception(30)


def test_connections_without_a_request_are_closed(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "HEADER_SECONDS", 0.3)
    with running(bundle_folder) as one:
        place = (one.client.base_url.host, one.client.base_url.port)
        with socket.create_connection(place, 10) as silent, socket.create_connection(place, 10) as dripping:
            dripping.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            silent.settimeout(10)
            dripping.settimeout(10)
            assert silent.recv(100) == b"" and dripping.recv(100) == b""
        with socket.create_connection(place, 10) as second:  # slow in its second request
            second.settimeout(10)
            second.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = second.recv(4000)
            while b"live" not in answer:  # head and body may come apart
                answer += second.recv(4000)
            assert b"200 OK" in answer
            second.sendall(b"GET /v2/health/li")
            assert second.recv(4000) == b""
        assert one.client.get("/v2/health/live").status_code == 200


def test_clients_that_leave_leave_nothing_behind(bundle_folder: Path, slow: threading.Event) -> None:
    with running(bundle_folder) as one:
        place = (one.client.base_url.host, one.client.base_url.port)
        for body in (b"--b\r\n", b""):
            with socket.create_connection(place, 10) as rude:
                head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
                rude.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + body)
                until(lambda: one.service.gate.requests == 1)
            until(lambda: one.service.gate.requests == 0)
        slow.set()
        assert post(one, png()).status_code == 200


def test_a_port_in_use_is_one_message() -> None:
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(UserError, match=f"port={port} is in use on 127.0.0.1; choose another one, or port=0"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "not a host"])
def test_a_foreign_address_is_one_message(host: str) -> None:
    with pytest.raises(UserError, match=f"host={host} is no address of this machine"):
        listen(host, 0)


def test_a_port_that_is_not_allowed_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(servers.socket, "socket", Denied)
    with pytest.raises(UserError, match="port=80 may not be opened by this user; choose one above 1023"):
        listen("127.0.0.1", 80)


def test_health_tells_of_an_engine_that_no_longer_answers(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Judge, inputs: object) -> list:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with running(bundle_folder) as one:
        monkeypatch.setattr(Judge, "__call__", broken)
        for _ in range(FAILURES):
            assert one.client.get("/v2/health/live").status_code == 200
            assert post(one, png()).status_code == 500
        for path, told in (("live", {"live": False}), ("ready", {"ready": False})):
            answer = one.client.get(f"/v2/health/{path}")
            assert (answer.status_code, answer.json()) == (503, told)
        assert one.metric("dfd_ready") == 0
        monkeypatch.undo()
        assert post(one, png()).status_code == 200  # it is still asked, and may come to itself
        assert one.client.get("/v2/health/live").status_code == 200
        described = one.client.get("/openapi.json").json()["paths"]["/v2/health/live"]["get"]["responses"]
        assert set(described) >= {"200", "503"}


def test_a_pass_without_an_end_is_503_for_those_who_wait(
    bundle_folder: Path, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher, "ANSWER_SECONDS", 0.3)
    with running(bundle_folder) as one:
        answer = post(one, png())
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
        slow.set()
