"""The part of dfd predict that makes verdict cards: on screen, as JSON, as a page, with a map of where to look."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.text import Text

from dfd import __version__
from dfd.cards.card import Card, make_card_and_pixels
from dfd.commands.provenance import command_line
from dfd.config import PredictConfig
from dfd.data.changes import Pixels
from dfd.data.decode import UnusableImage, read_bytes
from dfd.data.names import to_text
from dfd.errors import UserError
from dfd.files import replacing, write_text
from dfd.inference.engine import Engine
from dfd.inference.score import Errors
from dfd.report.card_index import Row, card_index
from dfd.report.card_page import card_page, jpeg
from dfd.report.card_screen import print_card
from dfd.report.words import printable
from dfd.runtime import Runtime

SIDE = 1024  # pixels of the longer side of what a page shows


@dataclass(frozen=True)
class Place:
    """Where the files of one card go."""

    page: Path
    data: Path
    heat: Path

    @classmethod
    def of(cls, out: Path, number: int, total: int) -> "Place":
        """In the run folder itself, or numbered from 1 in its folder cards/ where there are several."""
        if total == 1:
            return cls(out / "card.html", out / "card.json", out / "heat.png")
        folder, stem = out / "cards", f"{number + 1:0{len(str(total))}}"
        return cls(folder / f"{stem}.html", folder / f"{stem}.json", folder / f"{stem}-heat.png")


def predict_cards(
    config: PredictConfig, paths: list[Path], engine: Engine, runtime: Runtime, out: Path
) -> tuple[np.ndarray, Errors]:
    """Make, write and print a card for each file. Returns logits float32 [N], NaN where a file cannot be used, and the
    reasons by row.
    """
    logits = np.full(len(paths), np.nan, np.float32)
    errors: Errors = {}
    rows: list[Row] = []
    console = Console()
    max_pixels = config.max_pixels or engine.bundle.max_pixels
    for number, path in enumerate(paths):
        name, place = to_text(path), Place.of(out, number, len(paths))
        try:
            card, pixels = make_card_and_pixels(to_text(path.name), read_bytes(path), engine, runtime, max_pixels)
        except UnusableImage as unusable:
            errors[number] = unusable.reason
            rows.append(Row(name, None, "", unusable.reason))
            told = f"{printable(name)} can't be used: {printable(unusable.reason)}\n"
            console.print(Text(told, style="red"), soft_wrap=True)
            continue
        logits[number] = card.score.logit
        _write(card, pixels, place, config.method, engine, runtime)
        print_card(console, card, brief=len(paths) > 1)
        print(f"\ncard         {printable(place.page)}\n             {printable(place.data)}" + "\n" * (len(paths) > 1))
        rows.append(Row(name, card, place.page.name, ""))
    if len(paths) > 1:
        write_text(out / "cards" / "index.html", card_index(rows))
        print("What a verdict means, and what it does not, is on the pages.")
        print(f"all cards    {printable(out / 'cards' / 'index.html')}")
    return logits, errors


def _write(card: Card, pixels: Pixels, place: Place, method: str, engine: Engine, runtime: Runtime) -> None:
    layer, note = _heat(pixels, method, engine, runtime)
    write_text(place.data, json.dumps(card.to_dict() | {"made": _made()}, indent=1) + "\n")
    if layer is not None:
        with replacing(place.heat) as temporary:
            temporary.write_bytes(layer)
    write_text(place.page, card_page(card, jpeg(_shrunk(Image.fromarray(pixels))), layer, method=method, note=note))


def _made() -> dict[str, str]:
    """Which program said so, when, and how it was asked: for whoever has to repeat it."""
    return {
        "dfd": __version__,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
    }


def _heat(pixels: Pixels, method: str, engine: Engine, runtime: Runtime) -> tuple[bytes | None, str]:
    """The map as a PNG with transparency, or None and the reason why there is none."""
    if method == "none":
        return None, "No heat map was asked for (method=none)."
    from dfd.explain.maps import explain  # loads what a card without a map does not need
    from dfd.explain.pictures import heat, png

    try:
        found = explain(engine.bundle, pixels, method, runtime)
    except UserError as error:
        return None, f"No heat map: {error}"
    return png(np.asarray(_shrunk(Image.fromarray(heat(found[0]), "RGBA")))), ""


def _shrunk(image: Image.Image) -> Image.Image:
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image
