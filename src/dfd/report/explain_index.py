"""The page that leads to the pages of several explained pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dfd import __version__
from dfd.files import write_text
from dfd.report import explain_words, pages

SHOWN = 200


@dataclass(frozen=True)
class Entry:
    """One picture: its name, its overlay as a data URI, its answer, and the name of its page beside this one."""

    name: str
    picture: Markup
    verdict: str
    prob: float
    page: str


def write_explain_index(
    path: Path,
    entries: Sequence[Entry],
    count: int,
    errors: Sequence[dict[str, Any]],
    method: str,
    facts: dict[str, dict[str, str]],
    command: str,
) -> None:
    """Write the page to `path`, atomically, as UTF-8. `errors` have `path` and `error`. Raises OSError."""
    text = (
        pages.environment()
        .get_template("explain_index.html")
        .render(
            title=f"{count} pictures explained",
            count=count,
            about=explain_words.ABOUT[method],
            shown=entries,
            errors=errors,
            facts=facts,
            command=command.splitlines(),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
        )
    )
    write_text(path, text)
