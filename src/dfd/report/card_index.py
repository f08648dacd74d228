"""The page that lists several verdict cards."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dfd import __version__
from dfd.cards.card import Card
from dfd.cards.words import share
from dfd.report import pages
from dfd.report.card_words import MARKS


@dataclass(frozen=True)
class Row:
    """A file with its card and the name of the card's page, or with the reason why there is none."""

    name: str
    card: Card | None
    page: str
    error: str


def card_index(rows: list[Row]) -> str:
    """The page as HTML; all text in it is escaped. The links are to pages in the same folder."""
    counts = {name: sum(row.card is not None and row.card.verdict == name for row in rows) for name in MARKS}
    environment = pages.environment()
    environment.globals.update(share=share)
    return environment.get_template("card_index.html").render(
        title="Verdict cards",
        rows=rows,
        counts=counts,
        failed=sum(row.card is None for row in rows),
        marks=MARKS,
        facts={},
        command=[],
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
