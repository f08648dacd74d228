"""report.html of `dfd eval fid=…`: two sets of images compared, on one page that needs no other file and no network."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from dfd import __version__
from dfd.evaluation.figures import Floats
from dfd.files import write_text
from dfd.report import fid_words, pages
from dfd.report.fid_words import Figures
from dfd.report.svg import FAKE, INK, REAL, new_axes, to_svg

BINS = 40
SIDE = 160  # pixels of a larger picture; a smaller one is shown as it is
UNREADABLE_SHOWN = 200


@dataclass(frozen=True)
class Pair:
    """A sample and the training image closest to it: names, pixels [R, R, 3] (None: can't be read), distance."""

    sample: str
    sample_pixels: np.ndarray | None
    training: str
    training_pixels: np.ndarray | None
    distance: float


@dataclass(frozen=True)
class FidContext:
    """What the page is made of.

    Attributes:
        figures: what `evaluation.distances.measure` returned, and what it was measured on.
        pairs: samples and the training images closest to them, closest first.
        samples: distance of each sample to the nearest training image.
        held_out: that of real images which are not among them.
        command: the command line that made the page.
    """

    figures: Figures
    pairs: Sequence[Pair]
    samples: Floats
    held_out: Floats
    command: str


def write_fid_page(path: Path, context: FidContext) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError."""
    write_text(path, render(context))


def render(context: FidContext) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    figures = context.figures
    environment = pages.environment()
    environment.globals.update(value_of=fid_words.value_of, interval_of=fid_words.interval_of)
    return environment.get_template("fid.html").render(
        title=f"{figures['label']} of {_what(figures)}",
        figures=figures,
        rows=fid_words.rows(figures),
        kid=fid_words.kid_name(figures),
        few=fid_words.few(figures),
        summary=fid_words.summary(figures),
        cautions=fid_words.cautions(figures),
        plot=_distances_plot(context),
        pairs=[(pair, _picture(pair.sample_pixels), _picture(pair.training_pixels)) for pair in context.pairs],
        unreadable=figures["unreadable"][:UNREADABLE_SHOWN],
        facts=_facts(figures),
        command=context.command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _what(figures: Figures) -> str:
    return figures["gan"]["name"] if "gan" in figures else Path(figures["fake"]).name


def _distances_plot(context: FidContext) -> Markup:
    """How far samples and held-out reals lie from the nearest training image, as densities."""
    figure, axes = new_axes(6.4, 3.0)
    highest = float(max(context.samples.max(), context.held_out.max())) or 1.0
    edges = np.linspace(0, highest * 1.01, BINS + 1)
    for values, name, color in ((context.held_out, "held-out reals", REAL), (context.samples, "samples", FAKE)):
        counts, _ = np.histogram(values, edges)
        share = counts / len(values)
        axes.stairs(share, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(share, edges, color=color, linewidth=1.2, label=f"{name} ({len(values):,})")
    axes.axvline(context.figures["memorisation"]["limit"], color=INK, linewidth=1, linestyle="--", label="very close")
    axes.set(xlabel="Distance to the nearest training image", ylabel="Share of images", xlim=(0, edges[-1]))
    axes.legend(frameon=False, fontsize=8)
    median = context.figures["memorisation"]["median"]
    told = f"median {median['samples']:.3g} for samples, {median['held_out']:.3g} for held-out reals"
    return to_svg(figure, "distances-plot", f"Distances to the nearest training image: {told}")


def _picture(pixels: np.ndarray | None) -> str | None:
    if pixels is None:
        return None
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")


def _facts(figures: Figures) -> dict[str, dict[str, str]]:
    extractor = figures["extractor"]
    if "gan" in figures:
        gan = figures["gan"]
        images = {
            "Data set": figures["data"],
            "Reals": f"{figures['n_real']:,}, split {figures['split']}",
            "Fingerprint": figures["fingerprint"],
            "Samples": f"{figures['n_fake']:,}, truncation {figures['trunc']:g}, seed {figures['seed']}",
            "Generator": f"{gan['name']} ({gan['sha256'][:16]}), trained on {gan['trained_on']}",
        }
    else:
        images = {
            "Reals": f"{figures['n_real']:,} of {figures['real']}",
            "Fakes": f"{figures['n_fake']:,} of {figures['fake']}",
            "Seed": str(figures["seed"]),
        }
    return {
        "Images": images,
        "Features": {
            "Network": f"{extractor['name']}, {figures['width']:,} features, fp32",
            "Weights": f"{extractor['origin']} (sha256 {extractor['sha256'][:16]})",
            "Resolution": f"{figures['resolution']} px: centre square, {figures['filter']}",
            "Device": figures["device"],
        },
        "Memorisation": {
            "Held out": f"{figures['memorisation']['n_held_out']:,}, {figures['held_out']}",
            "Very close": f"nearer than {figures['memorisation']['limit']:.4g}",
        },
    }
