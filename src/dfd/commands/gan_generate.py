"""dfd gan generate: a generator in; a folder of images with a manifest out."""

from pathlib import Path

from dfd.config import GanGenerateConfig
from dfd.data.manifest import TABLE
from dfd.data.samples import IMAGES, Form, how_to_add, write_samples
from dfd.errors import EXIT_OK
from dfd.gan import storage
from dfd.gan.sampling import draw
from dfd.report.words import which
from dfd.runtime import fp32_only, start


def run(config: GanGenerateConfig, out: Path) -> int:
    """Draw the images, save them, and say where they are."""
    run = storage.find(config.run)
    saved = storage.load(run)
    runtime = start(fp32_only(config.runtime, "images are generated"), cpu_bf16=False)
    print(f"generator    {which(run, config.run)}: {saved.name}, {saved.resolution} pixels")
    parts = draw(runtime.place(saved.generator), config.n, config.seed, config.trunc, runtime.device)
    manifest = write_samples(
        out,
        parts,
        Form(config.format, config.quality, config.side),
        name=f"gan-{saved.name}",
        fractions=config.fractions,
        seed=config.seed,
        about={
            "generator": saved.name,
            "weights_sha256": saved.sha256,
            "trained_on": saved.fingerprint,
            "seed": config.seed,
            "trunc": config.trunc,
            "kimg": saved.training.get("best_kimg"),
        },
        workers=config.workers,
    )
    counts = manifest.table["split"].value_counts()
    print(f"images       {out / IMAGES}: {', '.join(f'{n:,} {split}' for split, n in counts.items())}")
    if repeated := manifest.header["duplicates"]["near"]:
        print(f"             {repeated:,} nearly repeat another one; such images are in one split")
    print(f"manifest     {out / TABLE}")
    print(f"use          {how_to_add(out)}")
    return EXIT_OK
