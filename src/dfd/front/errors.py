"""Words for what went wrong with the settings: names the setting, the value and what is accepted."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)
from yaml import YAMLError

from dfd.errors import UserError
from dfd.front.arguments import Request
from dfd.front.commands import Command
from dfd.front.settings import settings, unknown_choice, unknown_key


@contextmanager
def worded(request: Request) -> Iterator[None]:
    """Turn what Hydra raises about the settings into a UserError with our words."""
    try:
        yield
    except Exception as error:
        message = explain(request.command, request.overrides, error)
        if message is None:
            raise
        raise UserError(message) from error


def explain(command: Command, overrides: list[str], error: BaseException) -> str | None:
    """The message for a mistake in the settings; None for an error of another kind, which is a bug."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, UserError):
            return str(cause)
    for cause in causes:  # Hydra wraps OmegaConf's error, which says more
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return _explain_omegaconf(command, overrides, cause)
    if isinstance(error, OverrideParseException):
        return f"cannot read the setting {error.override!r}: {_first_line(error)}\n{QUOTING}"
    if isinstance(error, MissingConfigException):
        return _explain_missing_config(error)
    if isinstance(error, (HydraException, OmegaConfBaseException, YAMLError)):
        return _explain_hydra(error)
    return None


QUOTING = """A value with special characters takes two pairs of quotes, such as 'name="a, b"'"""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _explain_omegaconf(command: Command, overrides: list[str], error: OmegaConfBaseException) -> str:
    key = re.sub(r"\[\d+\]", "", str(error.full_key))
    given = next((one for one in overrides if one.lstrip("+").partition("=")[0] == key), key)
    if missing := re.search(r"Missing mandatory value: (\S+)", str(error)):
        return f"{missing[1]} is not set"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} is not set"
    if isinstance(error, InterpolationResolutionError):
        return f"{given} refers to something that is not there: {_first_line(error)}"
    if isinstance(error, (ConfigAttributeError, ConfigKeyError)):
        return unknown_key(command, key)
    if isinstance(error, ValidationError) and key in settings(command.config):
        return f"{given} is not accepted: {key} takes {settings(command.config)[key].accepted}"
    return f"{given}: {_first_line(error)}"


def _explain_missing_config(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return _first_line(error)
    return unknown_choice(group, choice, error.options)


def _explain_hydra(error: BaseException) -> str:
    text = str(error).strip()
    if found := re.match(r"Ambiguous value for argument '(.*)'", text):
        return f"{found[1]} has several values: add -m to run each of them, or put [ ] around a list"
    if found := re.match(r"Sweep parameters '(.*)' requires", text):
        return f"{found[1]} has several values: add -m to run each of them"
    if found := re.match(r"Multiple values for (\S+)\. ", text):
        return f"{found[1]} is chosen already: write {found[1]}=… without a +"
    return text
