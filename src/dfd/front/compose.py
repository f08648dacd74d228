"""Composes a command's settings with Hydra, from the dataclass, the files in configs/ and the command line."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dfd.config import check, literal
from dfd.errors import UserError
from dfd.front.arguments import Request
from dfd.front.commands import Command
from dfd.front.settings import Setting, flatten, is_known_key, settings, unknown_key

CONFIGS = "dfd.configs"
HYDRA_VERSION = "1.3"


def store_schema(command: Command, paths: list[str]) -> None:
    """Give Hydra the command's dataclass, with the bare paths as the default of their setting.

    So the paths never pass Hydra's override parser, which has its own idea of quotes, commas and
    brackets and takes seconds for thousands of them, and yet the composed config shows them.
    """
    values = {command.paths: [literal(path) for path in paths]} if command.paths and paths else {}
    ConfigStore.instance().store(name=f"{command.id}_schema", node=command.config(**values))


@contextmanager
def composing() -> Iterator[None]:
    """Within this, `compose` works."""
    with hydra.initialize_config_module(CONFIGS, version_base=HYDRA_VERSION):
        yield


def compose(command: Command, overrides: list[str]) -> DictConfig:
    """The config of one job, without Hydra's own part."""
    return hydra.compose(command.id, overrides)


def typed(command: Command, config: DictConfig) -> Any:
    """The command's dataclass from a composed config, its keys and values checked."""
    for key in flatten(OmegaConf.to_container(config)):
        if not is_known_key(command, key):  # Hydra lets '+key=value' add anything
            raise UserError(unknown_key(command, key))
    result = OmegaConf.to_object(config)
    check(result)
    return result


def split_jobs(overrides: list[str]) -> list[list[str]]:
    """The jobs of a multirun: every combination of the values that are separated by commas."""
    choices: list[list[str]] = []
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_discrete_sweep():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():  # an interval is for another sweeper to fill in
            choices.append([str(override.input_line)])
    return [list(job) for job in itertools.product(*choices)]


def checked_jobs(request: Request) -> list[Any]:
    """The config of every job. Raises what is wrong with any of them before a run folder is made."""
    jobs = split_jobs(request.overrides) if request.multirun else [request.overrides]
    with composing():
        return [typed(request.command, compose(request.command, job)) for job in jobs]


def present_values(request: Request) -> dict[str, Any]:
    """The value of each setting, by its dotted key, and the choice of each group."""
    command = request.command
    with composing():
        config = hydra.compose(command.id, split_jobs(request.overrides)[0], return_hydra_config=True)
    values = {key: _present_value(config, setting) for key, setting in settings(command.config).items()}
    return values | dict(config.hydra.runtime.choices)


def _present_value(config: DictConfig, setting: Setting) -> Any:
    section, _, name = setting.key.rpartition(".")
    parent = OmegaConf.select(config, section) if section else config
    if parent is None:  # an optional section that is not chosen
        return setting.default
    if OmegaConf.is_missing(parent, name):
        return "???"
    try:
        value = parent[name]
    except OmegaConfBaseException:  # it refers to a setting that has no value yet
        return setting.default
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
