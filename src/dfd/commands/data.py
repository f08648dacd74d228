"""The manifest that a command works on, prepared on first use; one rank does it, the others wait."""

from dfd.config import DataConfig
from dfd.data.manifest import Manifest
from dfd.data.prepare import prepare
from dfd.runtime import Runtime


def prepared(config: DataConfig, runtime: Runtime) -> Manifest:
    """The manifest of `config`, on every rank."""
    manifest = runtime.on_main(lambda: prepare(config))
    folder = runtime.broadcast(manifest.folder if manifest else None)
    return manifest if manifest is not None else Manifest.load(folder)
