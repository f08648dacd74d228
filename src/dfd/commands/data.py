"""The manifest that a command works on, prepared on first use; one rank does it, the others wait."""

from collections.abc import Callable
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dfd import sealed
from dfd.config import DataConfig, check, literal
from dfd.data.manifest import Manifest
from dfd.data.prepare import prepare, prepare_own
from dfd.errors import UserError
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime


def prepared(config: DataConfig, runtime: Runtime) -> Manifest:
    """The manifest of `config`, on every rank."""
    return _on_every_rank(lambda: prepare(config), runtime)


def prepared_own(config: DataConfig, runtime: Runtime) -> Manifest:
    """That of the data set's own images, which a GAN learns from: fakes are neither needed nor added."""
    return _on_every_rank(lambda: prepare_own(config), runtime)


def own_data(bundle: Bundle, runtime: Runtime) -> Manifest:
    """The manifest of the data that the bundle was trained on; told if images or splits are others by now.

    Raises UserError if they are not at hand.
    """
    try:
        manifest = prepared(data_of(bundle), runtime)
    except UserError as error:
        hint = "name the data to measure on, as in data=yonsei data.source=PATH"
        raise UserError(f"{error}\nThese are the data that the bundle was trained on; or {hint}") from None
    trained_on = bundle.data["fingerprint"]
    if runtime.is_main and manifest.fingerprint != trained_on:
        print(
            f"caution      {manifest.name} has changed since {bundle.name} was trained on it: its fingerprint was "
            f"{trained_on}, and is {manifest.fingerprint}"
        )
    return manifest


def data_of(bundle: Bundle) -> DataConfig:
    """The data set that the bundle was trained on, as its own settings have it: those may be a stranger's."""
    try:
        return data_config(sealed.settings_of(bundle.config)["data"])
    except (ValueError, KeyError):
        raise UserError(
            f"the bundle {bundle.name} does not say what it was trained on; name a data set, as in data=yonsei"
        ) from None


def data_config(values: Any) -> DataConfig:
    """The settings of a data set from a file that may be a stranger's. Raises ValueError that says what is wrong."""
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), _as_they_are(values)))
        assert isinstance(config, DataConfig)
        check(config, "data.")
    except (OmegaConfBaseException, UserError, ValueError, TypeError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    return config


def _as_they_are(values: Any) -> Any:
    """A stranger's texts name no variables of this machine."""
    if isinstance(values, dict):
        return {key: _as_they_are(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_as_they_are(value) for value in values]
    return literal(values) if isinstance(values, str) else values


def _on_every_rank(make: Callable[[], Manifest], runtime: Runtime) -> Manifest:
    manifest = runtime.on_main(make)
    folder = runtime.broadcast(manifest.folder if manifest else None)
    return manifest if manifest is not None else Manifest.load(folder)
