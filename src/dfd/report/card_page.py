"""The verdict card as one page that needs no other file: for a screen, a phone, and paper."""

from base64 import b64encode
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from markupsafe import Markup
from PIL import Image

from dfd import __version__
from dfd.cards.card import Card
from dfd.cards.words import share
from dfd.report import card_words, pages
from dfd.report.slider import POLICY, SCRIPT

QUALITY = 92  # of the picture in the page, which is there to be looked at, not to be examined
OPACITY = 60  # percent that the map starts with


def card_page(card: Card, picture: bytes | None, heat: bytes | None, *, method: str = "", note: str = "") -> str:
    """The page as HTML; all text in it is escaped.

    `picture` is a JPEG or PNG to show, `heat` a PNG with transparency to lay over it, made by `method`; `note` says why
    there is no map.
    """
    environment = pages.environment()
    environment.globals.update(share=share, place=_place)
    return environment.get_template("card.html").render(
        title=f"Verdict card: {card.file.name}",
        card=card,
        lead=card_words.LEADS[card.verdict],
        bands=card_words.bands(card),
        strong=[each for each in card.evidence.findings if each.level == "strong"],
        findings=[each for each in card.evidence.findings if each.level != "strong"],
        picture=picture and _uri(picture),
        heat=picture and heat and _uri(heat),
        method=method,
        note=note,
        opacity=OPACITY,
        script=SCRIPT,
        policy=POLICY,
        facts=card_words.facts(card),
        command=[],
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def jpeg(image: Image.Image) -> bytes:
    """A picture, encoded anew: nothing of a stranger's file gets into the page."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return buffer.getvalue()


def _uri(content: bytes) -> Markup:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return Markup(f"data:image/{kind};base64,{b64encode(content).decode('ascii')}")


def _place(value: Any) -> str:
    """A share 0..1 as a CSS length."""
    return f"{100 * float(value):.2f}%"
