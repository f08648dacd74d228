"""dfd eval: bundle and manifest in, figures and report out."""

from pathlib import Path

from dfd.commands import fid, robustness
from dfd.commands.data import own_data, prepared
from dfd.commands.results import exit_code, predict_split, publish
from dfd.config import EvalConfig
from dfd.inference.backends import open_engine
from dfd.models.bundle import find, load
from dfd.report.words import which
from dfd.runtime import start


def run(config: EvalConfig, out: Path) -> int:
    """Measure the bundle on one split, or compare images (`fid`). EXIT_PARTIAL if some could not be read."""
    if config.fid:
        return fid.run(config, out)
    if config.robustness:
        robustness.checked_changes(config.robustness)  # before anything is measured
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    out = runtime.broadcast(out)
    manifest = prepared(config.data, runtime) if config.data else own_data(bundle, runtime)
    if runtime.is_main:
        print(f"bundle       {which(folder, config.bundle)}")
        print(f"data         {manifest.name} {manifest.fingerprint}, {config.split}", flush=True)
    engine = open_engine(folder, bundle, config.backend, runtime)
    predictions = predict_split(engine, manifest, config.split, config.evaluation, runtime)
    if runtime.is_main:
        publish(predictions, engine, manifest, config.split, config.evaluation, runtime, out)
    if config.robustness:
        robustness.run(engine, manifest, config, runtime, out, predictions)
    return exit_code(predictions)
