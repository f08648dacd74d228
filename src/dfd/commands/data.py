"""The manifest that a command works on, prepared on first use; one rank does it, the others wait."""

from dfd.config import DataConfig
from dfd.data.manifest import Manifest
from dfd.data.prepare import prepare
from dfd.runtime import Runtime


def prepared(config: DataConfig, runtime: Runtime) -> Manifest:
    """The manifest of `config`, on every rank."""
    if runtime.is_main:
        prepare(config)
    runtime.wait()
    return prepare(config)
