"""How `dfd serve` bears load: `python scripts/load_server.py BUNDLE IMAGES --out load.json`. Needs locust and psutil.

Starts the server on a bundle and lets locust send the pictures of a folder: with 1, 8 and 64 clients; with four times
as many clients as the server lets in; and 10,000 requests of which one in twenty is hostile. Writes one JSON file:
times (p50, p99) and images a second, batch sizes as the server counted them, health checks that a separate client made
meanwhile, the memory of all the server's processes every second, and what came back for each kind of request. Client
and server share the machine's cores.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
CLIENTS = (1, 8, 64)
PROBE_SECONDS = 0.1


class Watch:
    """Asks for health and looks at memory while something else goes on."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self._url, self._process = url, process
        self.health_ms: list[float] = []
        self.failed = 0
        self.rss_mib: list[float] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._probe, self._weigh)]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def told(self) -> dict[str, Any]:
        """What was seen."""
        health = {**quantiles(self.health_ms), "failed": self.failed}
        return {"health_ms": health, "rss_mib": [round(each) for each in self.rss_mib]}

    def _probe(self) -> None:
        while not self._end.wait(PROBE_SECONDS):
            for path in ("live", "ready"):
                start = time.perf_counter()
                try:
                    urllib.request.urlopen(f"{self._url}/v2/health/{path}", timeout=10).read()
                except OSError:
                    self.failed += 1
                self.health_ms.append(1000 * (time.perf_counter() - start))

    def _weigh(self) -> None:
        while not self._end.wait(1.0):
            self.rss_mib.append(memory(self._process))


def memory(process: psutil.Process) -> float:
    """MiB of a process and all below it; pages that several of them share are counted once, as shares (PSS)."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 2**20


def quantiles(values: list[float]) -> dict[str, float]:
    """n, median, 99th percentile and largest."""
    if not values:
        return {"n": 0}
    p50, p99 = (round(float(value), 1) for value in np.percentile(values, [50, 99]))
    return {"n": len(values), "p50": p50, "p99": p99, "max": round(max(values), 1)}


@contextmanager
def serving(bundle: str, overrides: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """The server, ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dfd", "serve", f"bundle={bundle}", f"port={port}", *overrides]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(1200):
                if process.poll() is not None:
                    sys.exit(f"the server ended with {process.returncode}")
                try:
                    urllib.request.urlopen(f"{url}/v2/health/ready", timeout=5).read()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            code = process.wait(120)
            if code:
                print(f"the server ended with {code}", file=sys.stderr)


def figures(url: str) -> dict[str, float]:
    """The server's own counters."""
    text = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode()
    lines = [line for line in text.splitlines() if line.startswith("dfd_")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def load(url: str, process: psutil.Process, images: str, clients: int, **env: float) -> dict[str, Any]:
    """Let locust send; LOAD_… settings by `env`, with `seconds` for its time."""
    seconds = env.pop("seconds", 0)
    before = figures(url)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        settings = {f"LOAD_{name.upper()}": str(value) for name, value in env.items()}
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", "-H", url]
        command += ["-u", str(clients), "-r", str(clients), *(["-t", f"{seconds}s"] if seconds else [])]
        command += ["--stop-timeout", "60"]
        start = time.perf_counter()
        with Watch(url, process) as watch:
            environment = {**os.environ, **settings, "LOAD_IMAGES": images, "LOAD_RESULT": str(result)}
            log = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        took = time.perf_counter() - start
        if not result.is_file():
            sys.exit(f"locust failed:\n{log.stderr[-2000:]}")
        told = json.loads(result.read_text())
    after = figures(url)
    sizes = {name: after[name] - before.get(name, 0) for name in after if name.startswith("dfd_batch_images_")}
    answered = sum(told["counts"].values())
    found = {
        "clients": clients,
        "seconds": round(took, 1),
        "sent": told["sent"],
        "answered": answered,
        "counts": told["counts"],
        "images_a_second": round(len(told["ms"].get("200", [])) / (seconds or took), 1),
        "ms": {status: quantiles(values) for status, values in told["ms"].items()},
        "mean_batch": round(sizes["dfd_batch_images_sum"] / max(1, sizes["dfd_batch_images_count"]), 2),
        "batch_sizes": {name: value for name, value in sizes.items() if "bucket" in name},
        "alive": process.is_running() and process.status() != psutil.STATUS_ZOMBIE,
        **watch.told(),
    }
    print(
        *(found[name] for name in ("clients", "images_a_second", "mean_batch", "ms", "health_ms")), sep="\t", flush=True
    )
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="a bundle or a run")
    parser.add_argument("images", help="folder of pictures to send")
    parser.add_argument("--out", default="load.json", help="where the figures go")
    parser.add_argument("--seconds", type=int, default=30, help="length of each load")
    parser.add_argument("--requests", type=int, default=10_000, help="of the long run with hostile ones among them")
    parser.add_argument("--overload", type=int, default=256, help="clients in the overload")
    parser.add_argument("settings", nargs="*", help="settings of dfd serve, such as backend=onnxruntime")
    given = parser.parse_args()
    found: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": psutil.cpu_count()},
        "bundle": given.bundle,
        "settings": given.settings,
    }
    with serving(given.bundle, given.settings) as (url, process):
        found["served"] = json.loads(urllib.request.urlopen(f"{url}/v1/bundle", timeout=60).read())
        load(url, process, given.images, 8, seconds=5)  # warm
        print("clients, images a second, batch size, ms of answers, ms of health checks", flush=True)
        found["load"] = [load(url, process, given.images, clients, seconds=given.seconds) for clients in CLIENTS]
        found["overload"] = load(url, process, given.images, given.overload, seconds=given.seconds)
        found["soak"] = load(url, process, given.images, 8, hostile=0.05, total=given.requests)
        found["at_the_end"] = figures(url)
    Path(given.out).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
