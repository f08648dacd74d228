"""report.html of `dfd export`: how alike a graph and its bundle are, on one page that needs no other file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfd import __version__
from dfd.files import write_text
from dfd.report import export_words, pages
from dfd.report.export_words import Figures

UNREADABLE_SHOWN = 200
FORMATS = {"onnx": "ONNX", "openvino": "OpenVINO"}


def write_export_page(path: Path, figures: Figures, card: dict[str, Any], command: str) -> None:
    """Write the page to `path`, atomically, as UTF-8. Raises OSError.

    `figures`: what `export.parity.measure` returned, and what it was measured on; `card`: the content of graph.yaml.
    """
    write_text(path, render(figures, card, command))


def render(figures: Figures, card: dict[str, Any], command: str) -> str:
    """The page as HTML. All text in it is escaped; characters that cannot be printed show as backslash escapes."""
    environment = pages.environment()
    environment.globals.update(small=export_words.small)
    return environment.get_template("export.html").render(
        title=f"{figures['bundle']} as {FORMATS[figures['format']]}, {figures['precision']}",
        figures=figures,
        images=export_words.images(figures),
        rows=export_words.rows(figures),
        summary=export_words.summary(figures),
        cautions=export_words.cautions(figures),
        inputs=card["inputs"],
        outputs=card["outputs"],
        unreadable=figures["unreadable"][:UNREADABLE_SHOWN],
        facts=_facts(figures),
        command=command.splitlines(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def _facts(figures: Figures) -> dict[str, dict[str, str]]:
    times, ranges = figures["inference_ms"], figures["ranges"]
    made = (
        {} if ranges is None else {"Ranges of int8": f"{ranges['n']} images of {ranges['data']} ({ranges['splits']})"}
    )
    return {
        "Compared on": {
            "Data set": figures["data"],
            "Split": figures["split"],
            "Fingerprint": figures["fingerprint"],
            "Before": times["device_before"],
            "After": times["device_after"],
        },
        "Detector": {"Name": figures["bundle"], "Weights": figures["weights_sha256"][:16]},
        "Made with": {**made, **figures["versions"]},
        "Files": {name: _size(size) for name, size in figures["bytes"].items()},
    }


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
