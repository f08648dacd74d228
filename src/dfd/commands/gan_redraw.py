"""dfd gan redraw: photographs in; the same photographs drawn again by small networks, with a manifest, out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from dfd.commands.data import prepared_own
from dfd.config import AugmentConfig, GanRedrawConfig
from dfd.data.dataset import Images
from dfd.data.decode import UnusableImage, read_image
from dfd.data.manifest import TABLE, Manifest, changed_since
from dfd.data.pixels import reals_of
from dfd.data.samples import IMAGES, IMITATED, how_to_add, write_redrawn
from dfd.data.transforms import Augmentation, Preprocessing
from dfd.errors import EXIT_OK, UserError
from dfd.gan.redrawing import Redrawer, redrawer, redrawn
from dfd.runtime import Runtime, seed_from, start_unscaled
from dfd.training import checkpoint
from dfd.training.loop import fit
from dfd.training.redraw_task import RedrawTask, Settings

FEWEST = 16  # photographs to learn from


def run(config: GanRedrawConfig, out: Path) -> int:
    """Train each family's network on the train split, draw every photograph with one of them, save what comes out."""
    _check(config)
    runtime = start_unscaled(config.runtime, cpu_bf16=True, what="a network that redraws")
    if runtime.world > 1:
        raise UserError("gan redraw runs in one process; leave out torchrun")
    manifest = prepared_own(config.data, runtime)
    rows, left_out = _photographs(manifest, config)
    learnt = rows[rows["split"] == "train"]
    if len(learnt) < FEWEST:
        raise UserError(
            f"data set {manifest.name!r} has {len(learnt)} real images to learn from in its train split (of at least "
            f"crop={config.crop} pixels a side, at most max_side={config.max_side} squared, {', '.join(IMITATED)}); "
            f"accepted are {FEWEST} or more"
        )
    print(f"data         {manifest.name} {manifest.fingerprint}: {len(rows):,} real images, {len(learnt):,} in train")
    if left_out:
        print(f"             {left_out:,} are left out: too small, too large, or of a format that can't be imitated")
    print(
        f"families     {', '.join(config.families)}\ndevice       {runtime.describe()}\nrun          {out}", flush=True
    )
    networks = [_trained(config, family, manifest, learnt, runtime, out) for family in config.families]
    made = write_redrawn(
        out,
        _drawings(config, networks, manifest, rows, runtime),
        manifest,
        name=f"redrawn-{manifest.name}",
        about={"families": list(config.families), "steps": config.steps, "seed": config.seed},
        workers=config.workers,
    )
    counts = made.table["split"].value_counts()
    print(f"images       {out / IMAGES}: {', '.join(f'{n:,} {split}' for split, n in counts.items())}")
    print(f"manifest     {out / TABLE}")
    print(f"use          {how_to_add(out)}")
    return EXIT_OK


def _check(config: GanRedrawConfig) -> None:
    if not config.families:
        raise UserError("families=[] names no way of drawing; see dfd gan redraw --help")
    if config.crop % Redrawer.multiple:
        raise UserError(f"crop={config.crop}: accepted are multiples of {Redrawer.multiple}")
    for key, usual in (("add", []), ("min_side", 0)):
        if getattr(config.data, key) != usual:
            raise UserError(
                f"data.{key}={getattr(config.data, key)} has no part in gan redraw, which draws the photographs of one "
                "data set; run it once for each"
            )


def _photographs(manifest: Manifest, config: GanRedrawConfig) -> tuple[pd.DataFrame, int]:
    """The real images that can be drawn, and the number of those that can't."""
    every = reals_of(manifest, "all", 0)
    fits = (every["width"] * every["height"] <= config.max_side**2) & every["format"].isin(IMITATED)
    rows = every[fits & (every[["width", "height"]].min(axis=1) >= config.crop)].reset_index(drop=True)
    return rows, len(every) - len(rows)


def _trained(
    config: GanRedrawConfig, family: str, manifest: Manifest, learnt: pd.DataFrame, runtime: Runtime, out: Path
) -> Redrawer:
    """A family's network, trained on crops of the photographs; the last tenth of them, or 64, choose the best."""
    torch.manual_seed(config.seed)
    network = redrawer(family)
    shape = Preprocessing(config.crop, "crop", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    paths = [manifest.file(path) for path in learnt["path"]]
    held = max(1, min(64, len(paths) // 10))
    train = Images(paths[:-held], shape, config.data.max_pixels, Augmentation(AugmentConfig(name="redraw", flip=0.5)))
    val = Images(paths[-held:], shape, config.data.max_pixels)
    task = RedrawTask(config, network, train, val, manifest.fingerprint, runtime)
    folder = out / "networks" / family
    checkpoint.remove(folder)  # of a run that was cut off
    checkpoint.begin(folder, resume=False)
    progress = fit(task, Settings(), runtime, folder, config.seed)
    network.load_state_dict(checkpoint.load_best(folder))
    checkpoint.remove(folder)
    print(f"{family:12} {progress.step} steps, {progress.seconds:.0f} s, loss {-progress.best_score:.4f}", flush=True)
    return network.eval()


def _drawings(
    config: GanRedrawConfig, networks: list[Redrawer], manifest: Manifest, rows: pd.DataFrame, runtime: Runtime
) -> Iterator[tuple[pd.Series, np.ndarray]]:
    """Each photograph with what the network whose turn it is made of it."""
    turns = np.random.default_rng(config.seed).permutation(len(rows)) % len(networks)
    for number, row in tqdm(rows.iterrows(), total=len(rows), desc="drawing", unit="img", disable=None):
        path = manifest.file(row["path"])
        try:
            image = read_image(path, config.data.max_pixels)
        except UnusableImage as error:
            raise changed_since(path, error.reason) from None
        torch.manual_seed(seed_from(config.seed, int(number)))
        yield row, _drawn(networks[turns[number]], image, runtime)


@torch.inference_mode()
def _drawn(network: Redrawer, image: np.ndarray, runtime: Runtime) -> np.ndarray:
    """uint8 [H, W, 3] to the same."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(runtime.device).float() / 127.5 - 1
    if runtime.channels_last:
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    with runtime.autocast(cpu_bf16=True):
        drawn = redrawn(network, pixels).float()
    return ((drawn[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
