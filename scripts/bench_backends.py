"""Images per second of each backend, from files to logits and of the network alone, side by side in one run.

    python scripts/bench_backends.py ../shared/data/real140k_subset --images 2000 --rounds 5 --out bench.json

Networks have random weights unless a bundle is named: arithmetic takes as long whatever it says, but graphs of random
weights are not worth using. Rounds go through all engines in turn, so that a busy spell of the machine meets them all.

network   images/s of the engine on inputs in memory
pipeline  CPU milliseconds an image from the file to the network's input, of one process
files     images/s from files to logits, as `predict` and `eval` do it: decoding processes beside the engine
bound     images/s if nothing but decoding and network took time: C / (pipeline + C / network) on C cores. Both use the
          same cores, so this, and not the network's rate, is what a perfect pipeline would reach
"""

import argparse
import json
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from dfd.config import ModelConfig, RuntimeConfig
from dfd.data.dataset import Draw, Images
from dfd.data.discover import find_images
from dfd.data.transforms import Joint
from dfd.evaluation.calibration import Calibration
from dfd.export.make import Ranges, make_graph
from dfd.inference import graph as graphs
from dfd.inference.backends import engine_of
from dfd.inference.engine import Engine, TorchEngine
from dfd.inference.score import score
from dfd.machine import available_cores
from dfd.models import bundle as bundles
from dfd.models.detector import build, preprocessing_of
from dfd.runtime import Runtime, start

NETWORKS = ("resnet50", "efficientnet_b0")
GRAPHS = (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))
IN_MEMORY = 256  # images; more say nothing more, and cost memory
MAX_PIXELS = 64_000_000


@dataclass(frozen=True)
class Rate:
    """Images per second: geometric mean over rounds, with a 95% interval by Student's t of the logarithms."""

    value: float
    low: float
    high: float
    rounds: list[float]


def main() -> None:
    """Measure, print a table for each network, and write everything as JSON."""
    arguments = _arguments()
    paths = find_images([str(arguments.folder)]).paths[: arguments.images]
    results = {"machine": _machine(), "images": len(paths), "batch_size": arguments.batch_size, "networks": {}}
    for named in arguments.bundle or arguments.networks:
        found = _measure(named, paths, arguments)
        results["networks"][named] = found
        _show(named, found)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="real images")
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="backbones of timm, with random weights")
    parser.add_argument("--bundle", nargs="*", help="bundles instead of random networks")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=224, help="pixels; of random networks")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _measure(named: str, paths: Sequence[Path], arguments: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        bundle_folder = bundles.find(named) if arguments.bundle else _random(named, arguments.size, folder)
        graph_folders = _graphs(bundle_folder, folder, paths)
        joint = Joint(tuple(dict.fromkeys(one.preprocessing for one in bundles.load(bundle_folder).detectors)))
        pipeline = _pipeline_ms(paths, joint)
        jobs = [Job(f"torch {each}", bundle_folder, None, each) for each in ("fp32", "auto")]
        jobs += [Job(name, bundle_folder, place, "auto") for name, place in graph_folders.items()]
        asked = {job.name: stack.enter_context(_running(job, paths, arguments.batch_size)) for job in jobs}
        told: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
        for number in range(arguments.rounds + 1):
            for name, ask in asked.items():
                found = ask()
                print(f"round {number}  {name:<15} {found[0]:8.1f} {found[1]:8.1f}", file=sys.stderr, flush=True)
                if number:  # the first round warms caches up
                    told[name].append(found)
        rows = {name: _row([one for one, _ in each], [two for _, two in each], pipeline) for name, each in told.items()}
        return {"pipeline_ms": pipeline, "engines": rows}


@dataclass(frozen=True)
class Job:
    """An engine: of a graph, or of PyTorch in a precision."""

    name: str
    bundle: Path
    graph: Path | None
    precision: str


@contextmanager
def _running(job: Job, paths: Sequence[Path], batch_size: int) -> Iterator[Callable[[], tuple[float, float]]]:
    """An engine in a process of its own, as commands have it; each call measures once.

    Together they would hold gigabytes, which every process that decodes starts as a copy of.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, job, list(paths), batch_size))
    process.start()
    there.close()

    def ask() -> tuple[float, float]:
        here.send("measure")
        return here.recv()

    try:
        yield ask
    finally:
        here.close()
        process.join()


def _serve(requests: Connection, job: Job, paths: list[Path], batch_size: int) -> None:
    multiprocessing.set_start_method("fork", force=True)  # of the processes that decode, as in a command
    bundle = bundles.load(job.bundle)
    runtime = start(RuntimeConfig(device="cpu", precision=job.precision), cpu_bf16=bundle.cpu_bf16)
    engine = TorchEngine(bundle, runtime) if job.graph is None else engine_of(graphs.read(job.graph), bundle, runtime)
    batches = _batches(paths, engine.joint, batch_size)
    while True:
        try:
            requests.recv()
        except EOFError:
            return
        requests.send((_network_rate(engine, batches), _files_rate(engine, paths, batch_size, runtime)))


def _random(backbone: str, size: int, folder: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(name=backbone, backbone=backbone, pretrained=False, input_size=size, cpu_bf16=True)
    bundle = bundles.DetectorBundle(
        name=backbone,
        model=config,
        detector=build(config, preprocessing_of(config)).eval(),
        calibration=Calibration(1.0, 0.0, 0.5, 0.5, 0.5),
        max_pixels=MAX_PIXELS,
        data={"name": "none", "fingerprint": "none", "train": 0, "val": 0},
        training={"seconds": 0.0, "device": "cpu", "weights": "random"},
        metrics={},
        config="data: {}\n",
        seen=frozenset(),
        versions=bundles.versions(),
    )
    bundles.save(bundle, folder / "bundle")
    return folder / "bundle"


def _graphs(bundle_folder: Path, folder: Path, paths: Sequence[Path]) -> dict[str, Path]:
    """Folders of the graphs, by format and precision."""
    runtime = start(RuntimeConfig(device="cpu", precision="fp32"), cpu_bf16=False)
    engine = TorchEngine(bundles.load(bundle_folder), runtime)
    made = {}
    for format, precision in GRAPHS:
        own = folder / f"{format}-{precision}"
        own.mkdir()
        ranges = Ranges(paths[:100], {}) if precision == "int8" else None
        graphs.write(own, make_graph(own, engine, format, precision, ranges).card)
        made[f"{format} {precision}"] = own
    return made


def _pipeline_ms(paths: Sequence[Path], joint: Joint) -> float:
    """CPU milliseconds an image; the least of three passes, as other work only adds to it."""
    images = Images(paths, joint, MAX_PIXELS)
    some = [Draw(row) for row in range(min(len(paths), IN_MEMORY))]
    return min(_cpu_seconds(lambda: [images[draw] for draw in some]) for _ in range(3)) * 1000 / len(some)


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _batches(paths: Sequence[Path], joint: Joint, batch_size: int) -> list[torch.Tensor]:
    images = Images(paths, joint, MAX_PIXELS)
    tensors = [images[Draw(row)][1] for row in range(min(len(paths), IN_MEMORY))]
    good = [tensor for tensor in tensors if not isinstance(tensor, str)]
    # As they come from the loader in use: the channels last.
    return [each.contiguous(memory_format=torch.channels_last) for each in torch.stack(good).split(batch_size)]


def _network_rate(engine: Engine, batches: list[torch.Tensor]) -> float:
    started = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        for batch in batches:
            engine(batch)
    return sum(map(len, batches)) / (time.perf_counter() - started)


def _files_rate(engine: Engine, paths: Sequence[Path], batch_size: int, runtime: Runtime) -> float:
    started = time.perf_counter()
    score(engine, lambda joint: Images(paths, joint, MAX_PIXELS), batch_size, runtime)
    return len(paths) / (time.perf_counter() - started)


def _row(network: list[float], files: list[float], pipeline_ms: float) -> dict[str, object]:
    cores = available_cores()
    alone, whole = _rate(network), _rate(files)
    bound = 1000 / (pipeline_ms / cores + 1000 / alone.value)
    return {
        "network": asdict(alone),
        "files": asdict(whole),
        "of_network": whole.value / alone.value,
        "bound": bound,
        "of_bound": whole.value / bound,
    }


def _rate(values: list[float]) -> Rate:
    logs = np.log(values)
    reach = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)) if len(logs) > 1 else np.inf
    middle = logs.mean()
    return Rate(float(np.exp(middle)), float(np.exp(middle - reach)), float(np.exp(middle + reach)), values)


def _machine() -> dict[str, object]:
    names = [line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": available_cores()}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _show(named: str, found: dict) -> None:
    print(
        f"\n{named}: {found['pipeline_ms']:.2f} CPU ms an image from file to input, {torch.get_num_threads()} threads"
    )
    print(f"{'engine':<15}{'network/s':>24}{'files/s':>24}{'of network':>12}{'bound/s':>9}{'of bound':>10}", flush=True)
    for name, row in found["engines"].items():
        cells = [
            f"{row[key]['value']:.1f} ({row[key]['low']:.1f}–{row[key]['high']:.1f})" for key in ("network", "files")
        ]
        print(
            f"{name:<15}{cells[0]:>24}{cells[1]:>24}{row['of_network']:>12.0%}{row['bound']:>9.1f}{row['of_bound']:>10.0%}"
        )


if __name__ == "__main__":
    main()
