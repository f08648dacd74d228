"""What all pages have in common: how text gets into them, and how they look."""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dfd.evaluation.wording import number
from dfd.report import words


def environment() -> Environment:
    """Templates in which all text is escaped; characters that cannot be printed show as backslash escapes."""
    found = Environment(
        loader=PackageLoader("dfd", "report"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(
        number=number,
        interval=words.interval,
        percent=words.percent,
        percent_interval=words.percent_interval,
        signed=words.signed,
        p_value=words.p_value,
        split_name=words.split_name,
        style=style(),
    )
    return found


def style() -> Markup:
    """The style of all pages."""
    return Markup((files("dfd.report") / "style.css").read_text(encoding="utf-8"))


def _printable(value: Any) -> Any:
    """Applied by jinja to every inserted value, before it escapes HTML."""
    return value if isinstance(value, Markup) else words.printable(value)
