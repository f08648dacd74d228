"""`dfd data prepare`: from raw images to a manifest."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfd.config import PrepareConfig
from dfd.data.manifest import SPLITS, TABLE, Manifest
from dfd.data.prepare import DROPPED, UNUSABLE, manifest_folder, prepare
from dfd.errors import EXIT_OK, EXIT_PARTIAL

SHOWN = 10  # unusable files on the screen


def run(config: PrepareConfig, out: Path) -> int:
    """Prepare the data set and say what it holds. Returns EXIT_PARTIAL if some images could not be used."""
    manifest = prepare(config.data, config.workers, config.force)
    folder = manifest_folder(config.data)
    console = Console()
    console.print(_summary(manifest))
    for line in _findings(manifest, folder):
        console.print(escape(line), highlight=False, soft_wrap=True)
    return EXIT_PARTIAL if manifest.header["unusable"] else EXIT_OK


def _summary(manifest: Manifest) -> Table:
    """Number of images by source and split."""
    table = Table(title=f"{manifest.name}: {len(manifest.table):,} images")
    for column, justify in (("source", "left"), ("label", "left"), *((name, "right") for name in (*SPLITS, "all"))):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    counts = pd.crosstab([manifest.table["label"], manifest.table["source"]], manifest.table["split"])
    counts = counts.reindex(columns=list(SPLITS), fill_value=0)
    for (label, source), row in counts.iterrows():
        table.add_row(escape(source), "fake" if label else "real", *(f"{n:,}" for n in row), f"{row.sum():,}")
    table.add_section()
    table.add_row("all", "", *(f"{n:,}" for n in counts.sum()), f"{counts.to_numpy().sum():,}")
    return table


def _findings(manifest: Manifest, folder: Path) -> list[str]:
    """Lines on duplicates, notes, files left out, and where the manifest is."""
    header, lines = manifest.header, []
    found = header["duplicates"]
    lines.append(
        f"duplicates: {found['exact']:,} exact, {found['near']:,} near; largest group: {found['largest']:,}; "
        f"groups with both labels: {found['across_labels']:,}"
    )
    lines += [f"note: {note}" for note in [*header["notes"], *header.get("cautions", [])]]
    if header["dropped"]:
        lines.append(f"left out: {header['dropped']:,} usable images, listed in {folder / DROPPED}")
    if header["unusable"]:
        lines.append(f"unusable: {header['unusable']:,} images, listed in {folder / UNUSABLE}")
        rows = pd.read_csv(folder / UNUSABLE, dtype=str, nrows=SHOWN)
        lines += [f"  {path}: {reason}" for path, reason in zip(rows["path"], rows["reason"], strict=True)]
        if header["unusable"] > SHOWN:
            lines.append(f"  … and {header['unusable'] - SHOWN:,} more")
    return [*lines, f"fingerprint: {manifest.fingerprint}", f"manifest: {(manifest.folder or folder) / TABLE}"]
