"""The page of one explained picture: map, verdict and views, in one file that needs no other and no network."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from dfd import __version__
from dfd.evaluation.calibration import Calibration
from dfd.explain.maps import Map
from dfd.explain.pictures import heat, png
from dfd.explain.views import Spectrum, View, middle, spectrum, views
from dfd.files import write_text
from dfd.report import explain_words, pages
from dfd.report.slider import POLICY, SCRIPT
from dfd.report.svg import ACCENT, new_axes, to_svg

SIDE = 1024  # pixels of the longer side, on the page; the files beside it have the picture's own size
OPACITY = 60  # percent that a map starts with


@dataclass(frozen=True)
class ExplainContext:
    """What the page is made of.

    Attributes:
        name: of the file, in the form of `data.names`.
        image: its pixels, uint8 RGB [H, W, 3].
        maps: the bundle's map, then those of its networks if there are several.
        row: its `logit`, `prob` and `verdict`.
        calibration: the bundle's.
        facts: what it was obtained on.
        samples: draws of a method that draws, and their `seed`.
        with_views: whether to show spectrum, residual and error level.
        command: the command line that made the page.
    """

    name: str
    image: np.ndarray
    maps: Sequence[Map]
    row: Mapping[str, Any]
    calibration: Calibration
    facts: dict[str, dict[str, str]]
    samples: int
    seed: int
    with_views: bool
    command: str


@dataclass(frozen=True)
class Shown:
    """A map as the page has it: a data URI, under a heading."""

    heading: str
    note: str
    heat: Markup
    description: str


def write_explain_page(path: Path, context: ExplainContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: ExplainContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    height, width = context.image.shape[:2]
    method = context.maps[0].method
    found = views(context.image) if context.with_views else []
    part = middle(context.image)
    return (
        pages.environment()
        .get_template("explain.html")
        .render(
            title=f"What the answer to {context.name.rpartition('/')[2]} hangs on",
            row=context.row,
            band=explain_words.band(context.calibration),
            about=explain_words.ABOUT[method],
            about_members=explain_words.about_members(context.maps[0]),
            size=f"{width} × {height} pixels",
            picture=_jpeg(_shrunk(context.image)),
            maps=[_shown(each, whole=number == 0) for number, each in enumerate(context.maps)],
            unseen=bool(np.isnan(context.maps[0].values).any()),
            summary=explain_words.summary(context.maps[0]),
            cautions=explain_words.cautions(method, context.samples, context.seed),
            views=[_as_shown(view) for view in found],
            cut="" if part.shape == context.image.shape else f"{part.shape[1]} × {part.shape[0]} pixels",
            curve=curve_plot(spectrum(part)) if found else None,
            opacity=OPACITY,
            policy=POLICY,
            script=SCRIPT,
            facts=context.facts,
            command=context.command.splitlines(),
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
        )
    )


def curve_plot(found: Spectrum) -> Markup:
    """The azimuthal average of the power spectrum."""
    figure, axes = new_axes(4.4, 3.3)
    axes.plot(found.frequency, found.power, color=ACCENT)
    axes.set(xlabel="Frequency, cycles a pixel", ylabel="Power, dB", xlim=(0, 0.5))
    falls = f"from {found.power[0]:.0f} dB at the lowest frequency to {found.power[-1]:.0f} dB at 0.5 cycles a pixel"
    return to_svg(figure, "spectrum-plot", f"Power over frequency, {falls}")


def thumbnail(image: np.ndarray, side: int) -> Markup:
    """A picture of at most `side` pixels a side, as a data URI."""
    return _jpeg(_shrunk(image, side))


def _shown(found: Map, whole: bool) -> Shown:
    """`whole`: the bundle's map, and not that of a member; one member may have all of the weight as well."""
    return Shown(
        heading=explain_words.NAMES[found.method] if whole else found.network,
        note=explain_words.of_whom(found) if whole else explain_words.member_note(found),
        heat=_uri(png(_shrunk(heat(found))), "png"),
        description=explain_words.description(found),
    )


def _as_shown(view: View) -> dict[str, Any]:
    return {
        "title": view.title,
        "picture": _uri(png(view.picture), "png"),
        "look": view.look,
        "misleads": view.misleads,
    }


def _shrunk(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """At most `side` pixels a side; uint8 [H, W, C]."""
    if max(picture.shape[:2]) <= side:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((side, side))
    return np.asarray(image)


def _jpeg(picture: np.ndarray) -> Markup:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92, subsampling="4:4:4")
    return _uri(buffer.getvalue(), "jpeg")


def _uri(content: bytes, kind: str) -> Markup:
    return Markup(f"data:image/{kind};base64,{b64encode(content).decode('ascii')}")
