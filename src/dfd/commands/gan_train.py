"""dfd gan train: real images in; a generator, its samples, and its discriminator as a bundle out."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dfd.commands import gan_detector
from dfd.commands.data import prepared_own
from dfd.commands.provenance import command_line
from dfd.config import FidConfig, GanTrainConfig
from dfd.data.manifest import SPLITS, Manifest
from dfd.data.pixels import pixels_of, reals_of
from dfd.data.samples import Form, write_samples
from dfd.errors import UserError
from dfd.gan import storage
from dfd.gan.sampling import draw
from dfd.inference.extractors import extractor_of
from dfd.report.gan_page import GanContext, write_gan_page
from dfd.runtime import Runtime, seed_from, start_unscaled
from dfd.training import checkpoint
from dfd.training.gan_head import FEWEST_GROUPS
from dfd.training.gan_task import GanTask, generator_shape
from dfd.training.gan_watch import FOLDER, Watch
from dfd.training.loop import Progress, fit

FEWEST = {
    "train": 16,
    "val": FEWEST_GROUPS,
    "test": 1,
}  # real images: for the networks, the detector's head, its measurement
SAMPLES, PAGE = "samples", "training.html"


def run(config: GanTrainConfig, out: Path) -> int:
    """Train, keep the best generator, draw samples, make the discriminator a detector. `out` is the run's folder."""
    generator_shape(config.gan)  # a resolution that can't be made is told before anything is read
    _check_settings(config)
    runtime = start_unscaled(config.runtime, cpu_bf16=config.gan.cpu_bf16, what="a GAN")
    out = runtime.broadcast(out)
    manifest = prepared_own(config.data, runtime)
    reals, small = _reals(manifest, config.gan.resolution)
    runtime.on_main(lambda: checkpoint.begin(out, config.resume))
    pixels = pixels_of(manifest, reals, config.gan.resolution, Path(config.data.root), config.data.max_pixels, runtime)
    watch = runtime.on_main(lambda: _watch(config, pixels, runtime, out))
    label, n = runtime.broadcast((watch.label, watch.n) if watch else None)
    torch.manual_seed(config.seed)  # the networks' first weights
    task = GanTask(config, pixels, manifest.fingerprint, watch, runtime)
    if runtime.is_main:
        assert watch is not None
        _announce(config, manifest, len(reals), small, watch, task, runtime, out)
    progress = fit(task, config.gan, runtime, out, config.seed)
    runtime.wait()  # the main rank may still be writing
    task.load_weights(checkpoint.load_best(out))
    training = _training(progress, task, label, n, runtime)
    saved = storage.Saved(config.name, task.average, asdict(config.data), manifest.fingerprint, training)
    runtime.on_main(lambda: _keep(saved, manifest, config, runtime, out))
    if runtime.is_main:
        write_gan_page(out / PAGE, _page(config, progress, label, manifest, training, out))
    code = gan_detector.run(config, task.discriminator, training, runtime, out)
    if runtime.is_main:
        checkpoint.remove(out)
    return code


def _check_settings(config: GanTrainConfig) -> None:
    """Settings that would have no effect are refused: the training has samples and reals of its own."""
    if config.data.add:
        raise UserError(f"data.add={config.data.add} has no part in gan train, which learns from real images alone")
    usual = FidConfig()
    for key in ("real", "fake", "run", "split", "resolution", "filter", "seed"):
        if getattr(config.fid, key) != getattr(usual, key):
            raise UserError(
                f"fid.{key}={getattr(config.fid, key)} has no part in gan train, which compares its own samples with "
                "the images it is trained on; it belongs to dfd eval --fid"
            )


def _reals(manifest: Manifest, resolution: int) -> tuple[pd.DataFrame, int]:
    """The real images of the train split that are large enough, and the number of those that are not."""
    sizes = {split: [reals_of(manifest, split, side) for side in (0, resolution)] for split in FEWEST}
    for split, least in FEWEST.items():
        every, large = sizes[split]
        different = large["group"].nunique() if split == "val" else len(large)
        if different < least:
            apart = " that have nothing in common" if split == "val" else ""
            raise UserError(
                f"data set {manifest.name!r} has {len(every)} real images in its {split} split, {len(large)} of them "
                f"with both sides of at least gan.resolution={resolution} pixels; accepted are {least} or more{apart}"
            )
    every, large = sizes["train"]
    return large, len(every) - len(large)


def _watch(config: GanTrainConfig, pixels: np.ndarray, runtime: Runtime, out: Path) -> Watch:
    seed = seed_from(config.seed, 1)
    return Watch(extractor_of(config.fid, runtime), pixels, config.fid, seed, out, runtime.device)


def _announce(
    config: GanTrainConfig,
    manifest: Manifest,
    reals: int,
    small: int,
    watch: Watch,
    task: GanTask,
    runtime: Runtime,
    out: Path,
) -> None:
    print(f"data         {manifest.name} {manifest.fingerprint}: {reals:,} real images in train")
    if small:
        print(f"             {small:,} smaller than {config.gan.resolution} pixels are left out")
    sizes = [sum(each.numel() for each in network.parameters()) for network in (task.generator, task.discriminator)]
    print(f"generator    {config.gan.resolution} pixels, {sizes[0] / 1e6:.1f} million weights")
    print(f"critic       {sizes[1] / 1e6:.1f} million weights, looks at: {config.gan.branches}")
    kimg = round(task.steps * task.batch_size / 1000, 3)
    print(f"length       {kimg:,} kimg in {task.steps:,} steps of {task.batch_size}")
    print(f"measured by  {watch.label}, called fd below: {watch.n:,} samples against {watch.n_real:,} images")
    print(f"device       {runtime.describe()}")
    print(f"run          {out}", flush=True)


def _training(progress: Progress, task: GanTask, label: str, n: int, runtime: Runtime) -> dict[str, Any]:
    best = progress.history[progress.best_period - 1]
    return {
        "weights": "as the GAN's discriminator",
        "kimg": round(progress.step * task.batch_size / 1000, 3),
        "best_kimg": round(best["kimg"], 3),
        "best_fd": {"label": label, "value": best["fd"], "n": n},
        "seconds": round(progress.seconds, 1),
        "steps": progress.step,
        "batch_size": task.batch_size,
        "device": runtime.describe(),
    }


def _keep(saved: storage.Saved, manifest: Manifest, config: GanTrainConfig, runtime: Runtime, out: Path) -> None:
    """Save the generator, and as many samples as there are real images in each split."""
    storage.save(saved, out)
    reals = reals_of(manifest, "all", config.gan.resolution)
    shares = [float((reals["split"] == split).mean()) for split in SPLITS]
    seed = seed_from(config.seed, 2)
    parts = draw(saved.generator, len(reals), seed, 1.0, runtime.device)
    about = {"generator": saved.name, "seed": seed, "trunc": 1.0, "kimg": saved.training["best_kimg"]}
    name = f"gan-{config.name}"
    write_samples(out / SAMPLES, parts, Form(), name=name, fractions=shares, seed=config.seed, about=about)
    print(f"generator    {out / storage.FOLDER}\nsamples      {out / SAMPLES}, {len(reals):,} images")


def _page(
    config: GanTrainConfig,
    progress: Progress,
    label: str,
    manifest: Manifest,
    training: dict[str, Any],
    out: Path,
) -> GanContext:
    gan = config.gan
    return GanContext(
        title=f"Training of {config.name}",
        history=pd.DataFrame(progress.history),
        best_tick=progress.best_period,
        label=label,
        pictures=out / FOLDER,
        facts={
            "Real images": {
                "Data set": manifest.name,
                "Fingerprint": manifest.fingerprint,
                "Split": "train",
                "Mirrored": "half of them" if gan.mirror else "no",
            },
            "Networks": {
                "Resolution": f"{gan.resolution} pixels",
                "Channels": f"{gan.channel_base} / side, at most {gan.channel_max}",
                "Discriminator looks at": gan.branches,
            },
            "Training": {
                "Length": f"{training['kimg']:,} kimg in {training['steps']:,} steps of {training['batch_size']}",
                "Time": f"{training['seconds']:.0f} s on {training['device']}",
                "Augmentation": f"{config.ada.name}, {config.ada.mode}",
            },
            "Measured": {
                "Figure": label,
                "Samples a tick": str(training["best_fd"]["n"]),
                "Truncation": str(config.fid.trunc),
            },
        },
        target=config.ada.target if config.ada.mode == "adaptive" else None,
        n=training["best_fd"]["n"],
        command=command_line(),
    )
