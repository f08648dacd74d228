#!/usr/bin/env python3
"""Score 100,000 small images with two SIGKILLs on the way, and check that nothing is lost, doubled or leaked.

    python scripts/check_score.py > score.json          # in less than 6 minutes on 2 cores
    python scripts/check_score.py --shards              # the same images in .tar shards
    python scripts/check_score.py --images 5000 --ray 1000

The network is a tiny one with random weights, so that what is around it is what is measured. Makes everything below
--folder (default: a temporary one, which is removed). Prints JSON. Exit code 1 if a check fails.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from dfd.config import ModelConfig, RuntimeConfig
from dfd.data.decode import read_image
from dfd.data.transforms import Preprocessing
from dfd.evaluation.calibration import Calibration
from dfd.inference.engine import TorchEngine
from dfd.models import bundle as bundles
from dfd.models.detector import build
from dfd.runtime import start

SIDE, INPUT = 64, 32  # pixels of the images, and of the network's input
BAD = 200  # each so many-th file is no image
FOLDER = 1000  # files a folder or shard
PART, BATCH = 2000, 32
KILLS = (0.3, 0.65)  # at these shares of all parts
FLOOR = 3000  # images on which decoding and network are timed by themselves
SAMPLE = 0.5  # seconds between two looks at the memory
SETTINGS = (f"part={PART}", f"batch_size={BATCH}", "runtime.device=cpu", "runtime.precision=fp32", "max_pixels=100000")


def tiny_bundle(folder: Path) -> None:
    """A residual network of 0.2 million random weights, whose logits spread over both verdicts."""
    torch.manual_seed(0)
    half = (0.5, 0.5, 0.5)
    model = ModelConfig(name="tiny", backbone="test_resnet.r160_in1k", pretrained=False, input_size=INPUT)
    detector = build(model, Preprocessing(INPUT, "resize", "bicubic", half, half)).eval()
    with torch.no_grad():
        detector.linear.weight.mul_(1000)
    made = bundles.DetectorBundle(
        name="tiny",
        model=model,
        detector=detector,
        calibration=Calibration(1.5, 0.0, 0.5, 0.4, 0.6),
        max_pixels=10**6,
        data={"name": "none", "fingerprint": "none", "train": 0, "val": 0},
        training={"seconds": 0.0, "device": "cpu", "weights": "random"},
        metrics={},
        config="{}\n",
        seen=frozenset(),
        versions=bundles.versions(),
    )
    bundles.save(made, folder)


def content(number: int) -> bytes:
    """Image `number`, always the same: a JPEG of about 2 kB, or now and then something else."""
    if number % BAD == BAD - 1:
        return b"no image"
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    file = BytesIO()
    coarse.save(file, "JPEG", quality=85)
    return file.getvalue()


def make_images(folder: Path, count: int, shards: bool) -> None:
    """Folders of FOLDER files each, or as many shards."""
    for start_at in range(0, count, FOLDER):
        numbers = range(start_at, min(start_at + FOLDER, count))
        place = folder / f"{start_at // FOLDER:04}"
        folder.mkdir(parents=True, exist_ok=True)
        if shards:
            with tarfile.open(f"{place}.tar", "w") as archive:
                for number in numbers:
                    header = tarfile.TarInfo(f"{number:07}.jpg")
                    data = content(number)
                    header.size = len(data)
                    archive.addfile(header, BytesIO(data))
        else:
            place.mkdir()
            for number in numbers:
                (place / f"{number:07}.jpg").write_bytes(content(number))


class Watch:
    """CPU time of a process and all below it while they live, and their memory while they score into `out`."""

    def __init__(self, pid: int, out: Path) -> None:
        self.memory: list[float] = []  # MiB; shared pages count once
        self._out = out
        self.seen: dict[int, float] = {}  # CPU seconds by process
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(SAMPLE):
            sizes = []
            for pid in tree(self._pid):
                try:
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                sizes.append(int(rollup.partition("\nPss:")[2].split()[0]) / 1024)
                self.seen[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            if any(self._out.glob("part-*.parquet")) and not (self._out / "_scores.json").exists():
                self.memory.append(sum(sizes))


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        try:
            below = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except OSError:
            continue
        for child in below:
            yield from tree(int(child))


def score(folder: Path, words: list[str], kill_at: int | None = None) -> tuple[dict, list[int]]:
    """Run `dfd score`; SIGKILL it once `kill_at` parts are there. Returns figures, and the processes that it had."""
    out = folder / next(word for word in words if word.startswith("out=")).removeprefix("out=")
    began = time.monotonic()
    log = open(folder / "log.txt", "a")  # noqa: SIM115  # the process writes to it
    process = subprocess.Popen([sys.executable, "-m", "dfd", "score", *words], cwd=folder, stdout=log, stderr=log)
    watch = Watch(process.pid, out)
    processes: list[int] = []
    while process.poll() is None:
        if kill_at is not None and len(list(out.glob("part-*.parquet"))) >= kill_at:
            processes = list(tree(process.pid))
            process.send_signal(signal.SIGKILL)
            kill_at = None
        time.sleep(0.02)
    watch.close()
    seconds = time.monotonic() - began
    figures = {
        "code": process.returncode,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(sum(watch.seen.values()), 1),
    }
    return {**figures, "parts": len(list(out.glob("part-*.parquet"))), "memory": watch.memory}, processes


def outlived(processes: list[int], patience: float = 10.0) -> int:
    """How many processes of a killed run are still there after a while."""
    deadline = time.monotonic() + patience
    while (left := [pid for pid in processes if Path(f"/proc/{pid}/cmdline").exists() and _alive(pid)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    return len(left)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def memory_of(samples: list[float]) -> dict:
    """Medians over the second and the last quarter of the time in which there were parts, and the most, in MiB."""
    quarter = max(1, len(samples) // 4)
    early, late = np.median(samples[quarter : 2 * quarter]), np.median(samples[-quarter:])
    return {"early_mib": round(float(early)), "late_mib": round(float(late)), "most_mib": round(max(samples))}


def digests(out: Path) -> dict[str, str]:
    """The sha256 of each part, without what names the plan: of its rows."""
    return {
        path.name: hashlib.sha256(pd.read_parquet(path).to_csv().encode()).hexdigest()
        for path in sorted(out.glob("part-*.parquet"))
    }


def floor(folder: Path, count: int, shards: bool) -> dict:
    """CPU milliseconds an image of what can't be left out: to decode it, and to send it through the network."""
    bundle = bundles.load(folder / "bundle")
    runtime = start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)
    engine = TorchEngine(bundle, runtime)
    numbers = [number for number in range(count) if number % BAD != BAD - 1]
    contents: list = [content(number) for number in numbers]
    if not shards:  # to read a file is part of it
        contents = [folder / "images" / f"{number // FOLDER:04}" / f"{number:07}.jpg" for number in numbers]
    began = time.process_time()
    inputs = [engine.joint(read_image(one, 10**6)) for one in contents]
    decoding = time.process_time() - began
    batches = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2).split(BATCH)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        engine(batches[0])
        began = time.process_time()
        for batch in batches:
            engine(batch)
        network = time.process_time() - began
    return {"decode_ms": 1000 * decoding / len(contents), "network_ms": 1000 * network / len(contents)}


def check(folder: Path, images: int, ray: int, shards: bool) -> dict:
    """All of it. See the top of the file."""
    began = time.monotonic()
    tiny_bundle(folder / "bundle")
    make_images(folder / "images", images, shards)
    make_images(folder / "few", ray, shards)
    result: dict = {
        "images": images,
        "kind": "shards" if shards else "files",
        "made_seconds": round(time.monotonic() - began),
    }
    where, few = ("images/*.tar", "few/*.tar") if shards else ("images", "few")
    words = [where, "bundle=bundle", *SETTINGS]
    parts = images // PART if not shards else images // FOLDER

    runs, left = [], 0
    for share in (*KILLS, None):
        figures, processes = score(folder, [*words, "out=killed"], None if share is None else round(share * parts))
        left += outlived(processes)
        runs.append({key: value for key, value in figures.items() if key != "memory"})
    result |= {"killed_runs": runs, "processes_that_outlived_a_kill": left}
    figures, _ = score(folder, [*words, "out=whole"])
    memory = memory_of(figures["memory"])
    result |= {"whole_run": {**figures, "memory": memory}}
    result["whole_run"]["images_per_s"] = round(images / figures["seconds"])

    table = pd.read_parquet(folder / "killed")
    done = json.loads((folder / "killed" / "_scores.json").read_text())
    short, _ = score(folder, [few, "bundle=bundle", *SETTINGS, "out=few_local"])
    cpu = 1000 * (figures["cpu_seconds"] - short["cpu_seconds"]) / (images - ray)
    least = floor(folder, min(FLOOR, images), shards)
    result["cpu_ms_an_image"] = {key: round(value, 4) for key, value in {**least, "all": cpu}.items()}
    result["cpu_over_floor"] = round(cpu / sum(least.values()), 3)
    checks = {
        "killed twice": [run["code"] for run in runs[:2]] == [-signal.SIGKILL] * 2,
        "rows": len(table) == images == done["images"] == sum(part["rows"] for part in done["parts"]),
        "no duplicates": bool(table["path"].is_unique),
        "error rows": int(table["error"].notna().sum()) == images // BAD == done["errors"],
        "as in one go": digests(folder / "killed") == digests(folder / "whole"),
        "nothing left over": not list((folder / "killed").glob(".*")) and left == 0,
        "constant memory": memory["late_mib"] <= 1.05 * memory["early_mib"],
    }
    if ray:
        on_ray, _ = score(folder, [few, "bundle=bundle", *SETTINGS, "engine=ray", "out=few_ray"])
        result["ray"] = {"images": ray, "seconds": on_ray["seconds"], "local_seconds": short["seconds"]}
        tables = [
            pd.read_parquet(folder / name).sort_values("path", ignore_index=True) for name in ("few_local", "few_ray")
        ]
        result["ray"]["max_logit_difference"] = float((tables[0]["logit"] - tables[1]["logit"]).abs().max())
        checks["ray: the same rows"] = list(tables[0]["path"]) == list(tables[1]["path"])
        checks["ray: equal scores"] = result["ray"]["max_logit_difference"] <= 1e-5
    return {**result, "checks": checks, "seconds": round(time.monotonic() - began)}


def main() -> int:
    """Run the checks in a folder of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--ray", type=int, default=5_000, help="images for the comparison with engine=ray; 0: none")
    parser.add_argument("--shards", action="store_true", help="images in .tar shards instead of files")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in, which is kept")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="check_score."))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        result = check(folder.resolve(), given.images, given.ray, given.shards)
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=1))
    return 0 if all(result["checks"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
