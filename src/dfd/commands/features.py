"""dfd features: the penultimate features of a data set's images, computed once and kept."""

from pathlib import Path

from dfd.commands.data import data_of, prepared
from dfd.config import FeaturesConfig
from dfd.errors import EXIT_OK, EXIT_PARTIAL
from dfd.inference.cache import features_of
from dfd.inference.engine import place
from dfd.models.bundle import find, load
from dfd.report.words import which
from dfd.runtime import start


def run(config: FeaturesConfig, out: Path) -> int:
    """Fill the cache for all networks of the bundle. Returns EXIT_PARTIAL if some images can't be read."""
    folder = find(config.bundle)
    bundle = load(folder)
    data = config.data or data_of(bundle)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    manifest = prepared(data, runtime)
    place(bundle, runtime)
    if runtime.is_main:
        print(f"bundle       {which(folder, config.bundle)}")
        print(f"data         {manifest.name} {manifest.fingerprint}: {len(manifest.table)} images", flush=True)
    is_test = manifest.table["split"] == "test"
    unusable = 0
    for detector in bundle.detectors:
        for test in sorted(set(is_test)):
            cached = features_of(
                detector,
                manifest,
                Path(data.root),
                bundle.max_pixels,
                config.batch_size,
                runtime,
                "features",
                test=test,
            )
            unusable += int((cached.rows["error"] != "").sum())
            if runtime.is_main:
                what = "test images" if test else "other images"
                how = "computed" if cached.computed else "were there, no image was read"
                print(f"features     {len(cached.rows)} {what} x {detector.width}, {how}: {cached.folder}")
    if unusable and runtime.is_main:
        print(f"             {unusable} could not be computed; the reasons are in rows.parquet there")
    return EXIT_PARTIAL if unusable else EXIT_OK
