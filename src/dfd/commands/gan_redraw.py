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
from dfd.data.manifest import TABLE, Manifest
from dfd.data.pixels import reals_of
from dfd.data.samples import IMAGES, MARK, write_redrawn
from dfd.data.transforms import Augmentation, Preprocessing
from dfd.errors import EXIT_OK, UserError
from dfd.gan.redrawing import Redrawer, redrawer, redrawn
from dfd.runtime import Runtime, seed_from, start
from dfd.training import checkpoint
from dfd.training.loop import fit
from dfd.training.redraw_task import RedrawTask, Settings

FEWEST = 16  # photographs to learn from


def run(config: GanRedrawConfig, out: Path) -> int:
    """Train each family's network on the train split, draw every photograph with one of them, save what comes out."""
    if not config.families:
        raise UserError("families=[] names no way of drawing; see dfd gan redraw --help")
    runtime = start(config.runtime, cpu_bf16=True)
    if runtime.world > 1:
        raise UserError("gan redraw runs in one process; leave out torchrun")
    manifest = prepared_own(config.data, runtime)
    learnt, all_reals = reals_of(manifest, "train", config.crop), reals_of(manifest, "all", config.crop)
    if len(learnt) < FEWEST:
        raise UserError(
            f"data set {manifest.name!r} has {len(learnt)} real images of at least crop={config.crop} pixels a side in "
            f"its train split; accepted are {FEWEST} or more"
        )
    print(
        f"data         {manifest.name} {manifest.fingerprint}: {len(all_reals):,} real images, {len(learnt):,} in train"
    )
    print(
        f"families     {', '.join(config.families)}\ndevice       {runtime.describe()}\nrun          {out}", flush=True
    )
    networks = [_trained(config, family, manifest, learnt, runtime, out) for family in config.families]
    redrawn_set = write_redrawn(
        out,
        _drawings(config, networks, manifest, all_reals, runtime),
        manifest,
        name=f"redrawn-{manifest.name}",
        about={"families": config.families, "steps": config.steps, "seed": config.seed, "of": manifest.fingerprint},
        workers=config.workers,
    )
    counts = redrawn_set.table["split"].value_counts()
    print(f"images       {out / IMAGES}: {', '.join(f'{n:,} {split}' for split, n in counts.items())}")
    print(f"manifest     {out / TABLE}\nuse          dfd train data=[{config.data.module},{MARK}{out}]")
    return EXIT_OK


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
    checkpoint.begin(folder, resume=False)
    progress = fit(task, Settings(), runtime, folder, config.seed)
    network.load_state_dict(checkpoint.load_best(folder))
    checkpoint.remove(folder)
    print(f"{family:12} {progress.step} steps, {progress.seconds:.0f} s, loss {-progress.best_score:.4f}", flush=True)
    return network.eval()


def _drawings(
    config: GanRedrawConfig, networks: list[Redrawer], manifest: Manifest, rows: pd.DataFrame, runtime: Runtime
) -> Iterator[tuple[pd.Series, np.ndarray]]:
    """Each photograph with what the network whose turn it is made of it; those too large for it are passed over."""
    turns = np.random.default_rng(config.seed).permutation(len(rows)) % len(networks)
    for number, row in tqdm(rows.iterrows(), total=len(rows), desc="drawing", unit="img", disable=None):
        try:
            image = read_image(manifest.file(row["path"]), min(config.data.max_pixels, config.max_side**2))
        except UnusableImage:
            continue
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
