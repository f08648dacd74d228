"""The manifest that a command works on, prepared on first use; one rank does it, the others wait."""

from collections.abc import Callable

from dfd.config import DataConfig
from dfd.data.manifest import Manifest
from dfd.data.prepare import prepare, prepare_own
from dfd.runtime import Runtime


def prepared(config: DataConfig, runtime: Runtime) -> Manifest:
    """The manifest of `config`, on every rank."""
    return _on_every_rank(lambda: prepare(config), runtime)


def prepared_own(config: DataConfig, runtime: Runtime) -> Manifest:
    """That of the data set's own images, which a GAN learns from: fakes are neither needed nor added."""
    return _on_every_rank(lambda: prepare_own(config), runtime)


def _on_every_rank(make: Callable[[], Manifest], runtime: Runtime) -> Manifest:
    manifest = runtime.on_main(make)
    folder = runtime.broadcast(manifest.folder if manifest else None)
    return manifest if manifest is not None else Manifest.load(folder)
