"""dfd eval: bundle and manifest in, figures and report out."""

from pathlib import Path

from dfd import sealed
from dfd.commands import fid, robustness
from dfd.commands.data import prepared
from dfd.commands.results import exit_code, predict_split, publish
from dfd.config import DataConfig, EvalConfig, check
from dfd.data.manifest import Manifest
from dfd.errors import UserError
from dfd.inference.backends import open_engine
from dfd.models.bundle import Bundle, find, load
from dfd.runtime import Runtime, start


def run(config: EvalConfig, out: Path) -> int:
    """Measure the bundle on one split, or compare images (`fid`). EXIT_PARTIAL if some could not be read."""
    if config.fid:
        return fid.run(config, out)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    out = runtime.broadcast(out)
    manifest = prepared(config.data, runtime) if config.data else own_data(bundle, runtime)
    if runtime.is_main:
        newest = "" if config.bundle else " (the newest)"
        print(f"bundle       {folder}{newest}")
        print(f"data         {manifest.name} {manifest.fingerprint}, {config.split}", flush=True)
    engine = open_engine(folder, bundle, config.backend, runtime)
    predictions = predict_split(engine, manifest, config.split, config.evaluation, runtime)
    if runtime.is_main:
        publish(predictions, engine, manifest, config.split, config.evaluation, runtime, out)
    if config.robustness:
        robustness.run(engine, manifest, config, runtime, out, predictions)
    return exit_code(predictions)


def own_data(bundle: Bundle, runtime: Runtime) -> Manifest:
    """The manifest of the data that the bundle was trained on. Raises UserError if they are not at hand."""
    try:
        return prepared(data_of(bundle), runtime)
    except UserError as error:
        hint = "name the data to measure on, as in data=yonsei data.source=PATH"
        raise UserError(f"{error}\nThese are the data that the bundle was trained on; or {hint}") from None


def data_of(bundle: Bundle) -> DataConfig:
    """The data set that the bundle was trained on, as its own settings have it: those may be a stranger's."""
    try:
        config = DataConfig(**sealed.settings_of(bundle.config)["data"])
        check(config, "data.")
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"the bundle {bundle.name} does not say what it was trained on; name a data set, as in data=yonsei"
        ) from None
    return config
