#!/usr/bin/env python3
"""How fast dfd trains, against a bare PyTorch loop, and what bf16 and data loading cost or give.

    python scripts/bench_training.py overhead [--model resnet50] [--batch 16] [--steps 8] [--rounds 5]
    python scripts/bench_training.py precision [--models resnet50,...]
    python scripts/bench_training.py loading --images FOLDER [--model resnet50]

`overhead` runs dfd's loop and the bare one in turn, on the same synthetic images, model, batch and precision, and
prints the ratio pair by pair. `precision` times a training step and a forward pass in fp32 and bf16. `loading` times
decoding and preprocessing alone against training on the same files. Figures: median (lowest to highest) images/s.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import yaml
from torch.nn.functional import binary_cross_entropy_with_logits

from dfd.config import AugmentConfig, DataConfig, ModelConfig, RuntimeConfig, TrainConfig, TrainerConfig
from dfd.data.dataset import Draw, Images, batches_of, loader
from dfd.data.discover import find_images
from dfd.data.transforms import Augmentation, Preprocessing
from dfd.models.detector import Detector, build, preprocessing_of
from dfd.runtime import Runtime, start
from dfd.training.detector_task import DetectorTask
from dfd.training.loop import fit
from dfd.training.optim import optimizer_of
from dfd.training.splits import Split

CONFIGS = resources.files("dfd.configs")
SEVEN = "resnet50,vgg16,densenet121,xception,efficientnet_b0,efficientnet_b2,efficientnet_b4"


class Synthetic(Images):
    """Random images that are already in memory."""

    def __init__(self, n: int, preprocessing: Preprocessing) -> None:
        super().__init__([Path(str(row)) for row in range(n)], preprocessing, max_pixels=1)
        size = preprocessing.size
        self._memory = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8)

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor]:
        return draw.row, self._memory[draw.row]


def model_config(name: str) -> ModelConfig:
    """Settings of configs/model/<name>.yaml, without pretrained weights."""
    content = yaml.safe_load((CONFIGS / "model" / f"{name}.yaml").read_text())
    return ModelConfig(**{**content.get("model", content), "pretrained": False})


def augment_config(name: str) -> AugmentConfig:
    """Settings of configs/augment/<name>.yaml."""
    return AugmentConfig(**yaml.safe_load((CONFIGS / "augment" / f"{name}.yaml").read_text()))


def detector_of(model: ModelConfig, runtime: Runtime) -> Detector:
    """A detector with random weights on the runtime's device."""
    torch.manual_seed(0)
    return runtime.place(build(model, preprocessing_of(model)))


def dfd_rate(model: ModelConfig, precision: str, batch: int, steps: int, train: Images | None = None) -> float:
    """Images/s of dfd's own loop, as its log states it: one epoch of `steps` steps."""
    runtime = start(RuntimeConfig(precision=precision, workers=0 if train is None else -1), cpu_bf16=model.cpu_bf16)
    detector = detector_of(model, runtime)
    data = train or Synthetic(batch * steps, detector.preprocessing)
    config = TrainConfig(
        name="bench",
        data=DataConfig(name="synthetic"),
        model=model,
        augment=AugmentConfig(name="none"),
        trainer=TrainerConfig(epochs=1, max_steps=steps, batch_size=batch),
    )
    train_split, val = _split(data), _split(Synthetic(2, detector.preprocessing))
    task = DetectorTask(config, detector, train_split, val, runtime)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        progress = fit(task, config.trainer, runtime, Path(folder), seed=0)
    return progress.history[-1]["images_per_s"]


def bare_rate(model: ModelConfig, precision: str, batch: int, steps: int) -> float:
    """Images/s of the shortest loop that trains the same network on the same images."""
    runtime = start(RuntimeConfig(precision=precision), cpu_bf16=model.cpu_bf16)
    detector = detector_of(model, runtime).train()
    optimizer = optimizer_of(detector, TrainerConfig())
    size = detector.preprocessing.size
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=runtime.device)
    images = images.to(memory_format=torch.channels_last)
    target = (torch.arange(batch, device=runtime.device) % 2).float()
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(runtime.device.type, torch.bfloat16, enabled=runtime.precision == "bf16"):
            logits = detector(images)
        binary_cross_entropy_with_logits(logits.float(), target).backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimizer.step()
    if runtime.device.type == "cuda":
        torch.cuda.synchronize()
    return batch * steps / (time.perf_counter() - started)


def forward_rate(model: ModelConfig, precision: str, batch: int, steps: int) -> float:
    """Images/s of a forward pass."""
    runtime = start(RuntimeConfig(precision=precision), cpu_bf16=model.cpu_bf16)
    detector = detector_of(model, runtime).eval()
    images = torch.randint(
        0, 256, (batch, 3, detector.preprocessing.size, detector.preprocessing.size), dtype=torch.uint8
    )
    images = images.to(runtime.device, memory_format=torch.channels_last)
    with torch.inference_mode(), runtime.autocast(model.cpu_bf16):
        detector(images)
        started = time.perf_counter()
        for _ in range(steps):
            detector(images).cpu()
    return batch * steps / (time.perf_counter() - started)


def loading_rate(images: Images, batch: int, workers: int) -> float:
    """Images/s of reading, decoding, augmenting and preprocessing, with nothing done with the result."""
    stream = loader(images, batches_of(range(len(images)), batch), workers)
    started = time.perf_counter()
    for _ in stream:
        pass
    return len(images) / (time.perf_counter() - started)


def overhead(args: argparse.Namespace) -> None:
    """dfd's loop over the bare loop, in turn."""
    model = model_config(args.model)
    for precision in args.precisions.split(","):
        bare_rate(model, precision, args.batch, 2)  # warm-up
        pairs = []
        for _ in range(args.rounds):
            ours = dfd_rate(model, precision, args.batch, args.steps)
            pairs.append((ours, bare_rate(model, precision, args.batch, args.steps)))
        ratios = sorted(ours / bare for ours, bare in pairs)
        print(
            f"{args.model} {precision} batch {args.batch}: dfd {_spread([a for a, _ in pairs])} img/s, "
            f"bare {_spread([b for _, b in pairs])} img/s, dfd/bare {_spread(ratios, 3)}",
            flush=True,
        )


def precision(args: argparse.Namespace) -> None:
    """bf16 over fp32, for each backbone."""
    print("model             train fp32     train bf16   bf16/fp32   forward fp32   forward bf16   bf16/fp32")
    for name in args.models.split(","):
        model = model_config(name)
        rates = [_best(rate, model, kind, args) for rate in (bare_rate, forward_rate) for kind in ("fp32", "bf16")]
        print(
            f"{name:<16} {rates[0]:>10.1f} {rates[1]:>14.1f} {rates[1] / rates[0]:>11.2f} "
            f"{rates[2]:>14.1f} {rates[3]:>14.1f} {rates[3] / rates[2]:>11.2f}",
            flush=True,
        )


def loading(args: argparse.Namespace) -> None:
    """Reading files alone; training on files over training on images in memory, in turn."""
    model = model_config(args.model)
    files = find_images([args.images]).paths[: args.batch * args.steps]
    dfd_rate(model, "auto", args.batch, 2)  # warm-up
    for name in args.augments.split(","):
        augmentation = None if name == "none" else Augmentation(augment_config(name))
        images = _Augmented(files, preprocessing_of(model), 64_000_000, augmentation)
        alone = [loading_rate(images, args.batch, args.workers) for _ in range(args.rounds)]
        pairs = []
        for _ in range(args.rounds):
            from_files = dfd_rate(model, "auto", args.batch, args.steps, images)
            pairs.append((from_files, dfd_rate(model, "auto", args.batch, args.steps)))
        print(
            f"{args.model} augment={name}: loading alone {_spread(alone)} img/s with {args.workers} workers; training "
            f"on files {_spread([a for a, _ in pairs])} img/s, in memory {_spread([b for _, b in pairs])} img/s, "
            f"files/memory {_spread([a / b for a, b in pairs], 3)}",
            flush=True,
        )


class _Augmented(Images):
    """Every draw is augmented, also those of `batches_of`, which carry no seed."""

    def __getitem__(self, draw: Draw) -> tuple[int, torch.Tensor | str]:
        return super().__getitem__(Draw(draw.row, draw.row))


def _split(images: Images) -> Split:
    """Real and fake in turn, the fakes of one source, each image a group of its own."""
    labels, groups = np.arange(len(images)) % 2, np.arange(len(images))
    return Split(images, images, labels, labels, groups, [""] * len(images), "bench")


def _best(rate: Callable[..., float], model: ModelConfig, kind: str, args: argparse.Namespace) -> float:
    rate(model, kind, args.batch, 1)
    return float(np.median([rate(model, kind, args.batch, args.steps) for _ in range(args.rounds)]))


def _spread(values: list[float], digits: int = 1) -> str:
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    """Read the arguments and run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "precision", "loading"))
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--models", default=SEVEN)
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--augments", default="none,light,delivery")
    parser.add_argument("--images", help="folder of image files, for 'loading'")
    args = parser.parse_args()
    if args.what == "loading" and not args.images:
        parser.error("loading needs --images FOLDER")
    {"overhead": overhead, "precision": precision, "loading": loading}[args.what](args)


if __name__ == "__main__":
    main()
