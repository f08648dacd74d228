"""What `dfd eval robustness=grid` costs over its parts: the network alone, and decoding and changing images alone.

    OMP_NUM_THREADS=1 python scripts/bench_robustness.py BUNDLE data/prepared/real140k --images 24 --workers 2

Times are milliseconds for one version of one image: by the clock, and processor time of all processes together, which
tells more when other programs run. Each round measures the three in turn.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from hydra import compose, initialize_config_module

from dfd.config import ChangesConfig, RuntimeConfig
from dfd.data.changes import changes_of
from dfd.data.dataset import Draw
from dfd.data.manifest import Manifest
from dfd.data.transforms import Joint
from dfd.inference.engine import TorchEngine
from dfd.inference.score import score
from dfd.inference.versions import Versions, image_seed, whole_images
from dfd.models.bundle import find, load
from dfd.runtime import start


def main() -> None:
    """Print a line a round."""
    options = _options()
    bundle = load(find(str(options.bundle)))
    runtime = start(RuntimeConfig(workers=options.workers), cpu_bf16=bundle.cpu_bf16)
    engine = TorchEngine(bundle, runtime)
    manifest = Manifest.load(options.prepared)
    rows = manifest.rows("test").head(options.images)
    with initialize_config_module("dfd.configs", version_base="1.3"):
        changes = changes_of(ChangesConfig(**compose(f"robustness/{options.robustness}").robustness.changes))
    count = 1 + len(changes)

    def images_for(joint: Joint) -> Versions:
        paths = [manifest.file(path) for path in rows["path"]]
        seeds = [image_seed(sha256) for sha256 in rows["sha256"]]
        return Versions(paths, seeds, changes, joint, bundle.max_pixels, 0)

    def network() -> None:
        for detector in bundle.detectors:
            size = detector.preprocessing.size
            pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, device=runtime.device)
            with torch.inference_mode(), runtime.autocast(detector.cpu_bf16):
                for _ in range(len(rows)):
                    detector.eval()(pixels.contiguous(memory_format=torch.channels_last))

    def images() -> None:
        data = images_for(engine.joint)
        for number in range(len(data)):
            data[Draw(number)]

    def whole() -> None:
        score(engine, images_for, whole_images(32, count), runtime)

    cv2.setNumThreads(0)
    network()
    for _ in range(options.rounds):
        parts = {"network": _timed(network), "images": _timed(images), "whole": _timed(whole)}
        each = 1000 / len(rows) / count
        told = [f"{name} {wall * each:.2f} ms, cpu {cpu * each:.2f}" for name, (wall, cpu) in parts.items()]
        floor = parts["network"][1] + parts["images"][1]
        told.append(f"whole / network {parts['whole'][0] / parts['network'][0]:.2f}")
        print(" | ".join(told), f"| cpu of whole / parts {parts['whole'][1] / floor:.2f}", flush=True)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="bundle or run folder")
    parser.add_argument("prepared", type=Path, help="folder of a prepared data set")
    parser.add_argument("--robustness", default="grid", help="name of a file in configs/robustness")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
