"""A real server on a free port, in a thread of the test's process."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from dfd.config import RuntimeConfig, ServeConfig
from dfd.inference.engine import TorchEngine
from dfd.models.bundle import load
from dfd.runtime import start
from dfd.serving.app import make_app, paths_of
from dfd.serving.guard import Guard
from dfd.serving.logs import Log
from dfd.serving.server import Server, address_of, is_local, listen
from dfd.serving.service import Service


@dataclass
class Running:
    """A server: `client` is bound to it, `lines()` is what it has logged."""

    url: str
    client: httpx.Client
    service: Service
    server: Server
    log: StringIO

    def line(self, request: str) -> dict:
        """The log's only line on a request; it is written once the answer has been sent."""
        deadline = time.monotonic() + 30
        while not (found := self._lines(request)) and time.monotonic() < deadline:
            time.sleep(0.01)
        (line,) = found
        return line

    def _lines(self, request: str) -> list[dict]:
        whole = self.log.getvalue().rpartition("\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line.get("id") == request]

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def running(bundle: Path, key: str | None = None, **settings: object) -> Iterator[Running]:
    quick = RuntimeConfig(device="cpu", precision="fp32", workers=0)
    config = ServeConfig(**{"port": 0, "workers": 1, "runtime": quick, **settings})
    runtime = start(quick, cpu_bf16=False)
    service = Service(TorchEngine(load(bundle), runtime), bundle, runtime, config)
    app, text = make_app(service, keyed=key is not None), StringIO()
    log = Log(text)
    with listen(config.host, config.port) as bound:
        guarded = Guard(app, service.metrics, log, paths_of(app), key, is_local(bound))
        server = Server(guarded, service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        url = address_of(bound, config.host)
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.02)
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Running(url, client, service, server, text)
        finally:
            server.should_exit = True
            thread.join(30)
            service.close()
            log.close()


def png(seed: int = 0, size: tuple[int, int] = (40, 50)) -> bytes:
    """A PNG of noise, `size` is (height, width)."""
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def form(*files: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Files for httpx, called 0.png, 1.png, …"""
    return [("files", (f"{number}.png", data)) for number, data in enumerate(files)]
