"""How a setting is declared, and the checks on its value."""

from dataclasses import Field, field, fields, is_dataclass
from typing import Any

from dfd.errors import UserError


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    needs: tuple[str, str | None] | None = None,
) -> Any:
    """A dataclass field that explains itself: `low` and `high` are inclusive bounds.

    `needs` is a field beside it and the value without which this one has no effect; None: any but 0.
    """
    about = {"help": help, "choices": choices, "low": low, "high": high, "needs": needs}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=about)
    return field(default=default, metadata=about)


def check(config: Any, prefix: str = "") -> None:
    """Check every value of a config dataclass, nested ones too, against its choices and bounds.

    Raises UserError that names the setting, its value and what is accepted.
    """
    for item in fields(config):
        value, key = getattr(config, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            check(value, f"{key}.")
        elif value is not None:
            for one in value if isinstance(value, list) else [value]:
                _check_value(key, one, item)
            if item.metadata.get("needs") and value != item.default:
                _check_needs(config, key, value, prefix, item.metadata["needs"])


def _check_value(key: str, value: Any, item: Field) -> None:
    about = item.metadata
    if value == "???":
        raise UserError(f"{key} is not set")
    if item.name == "name" and (value in ("", ".", "..") or "/" in value or "\\" in value):
        raise UserError(f"{key}={value} has to be the plain name of a folder")
    choices, low, high = about.get("choices"), about.get("low"), about.get("high")
    if choices and value not in choices:
        raise UserError(f"{key}={value} is not one of the choices: {', '.join(choices)}")
    if low is not None and not value >= low:  # 'not >=' also catches NaN
        raise UserError(f"{key}={value} is too small: {accepted_range(low, high)}")
    if high is not None and not value <= high:
        raise UserError(f"{key}={value} is too large: {accepted_range(low, high)}")


def _check_needs(config: Any, key: str, value: Any, prefix: str, needs: tuple[str, str | None]) -> None:
    other, wanted = needs
    found = getattr(config, other)
    if found == wanted or (wanted is None and found):
        return
    told = f"{prefix}{other}={wanted}" if wanted else f"{prefix}{other} above 0"
    raise UserError(f"{key}={value} has no effect with {prefix}{other}={found}; it goes with {told}")


def accepted_range(low: float | None, high: float | None) -> str:
    """Bounds in words, such as 'accepted is 0 to 1'."""
    if high is None:
        return f"accepted is {low} or more"
    return f"accepted is {low} to {high}" if low is not None else f"accepted is up to {high}"
