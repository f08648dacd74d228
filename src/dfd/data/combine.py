"""One manifest of several: a data set's own images, or its real ones alone, with generated ones added."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from dfd.config import DataConfig
from dfd.data.manifest import COLUMNS, SPLITS, Manifest, fingerprint
from dfd.data.names import to_path, to_text
from dfd.data.samples import load_samples
from dfd.data.splits import check_labels
from dfd.errors import UserError


def combine(own: Manifest, data: DataConfig) -> Manifest:
    """`own` with the samples that `data.add` names, kept beside it as a data set of its own.

    Every image stays in the split that it has. Raises UserError if there are no samples, or if a split of the result
    would hold one class only.
    """
    added = [load_samples(named) for named in data.add]
    base = own.table[own.table["label"] == 0] if data.own == "real" else own.table
    parts = [(own, base), *((manifest, manifest.table) for manifest in added)]
    root = Path(os.path.commonpath([str(manifest.root) for manifest, _ in parts]))
    table = pd.concat([_moved(manifest, rows, root, number) for number, (manifest, rows) in enumerate(parts)])
    _check(table, data)
    table["group"] = pd.factorize(table["group"])[0]
    table = table.sort_values("path", ignore_index=True)
    header = _header(own, added, table, data, root)
    folder = Path(data.root) / "prepared" / header["name"]
    combined = Manifest(table, header, folder)
    if not _is_saved(combined, folder):
        combined.save(folder)
    return combined


def _moved(manifest: Manifest, rows: pd.DataFrame, root: Path, number: int) -> pd.DataFrame:
    """Rows with paths from another root, and groups that no other manifest has."""
    below = os.path.relpath(manifest.root, root)
    paths = [to_text(Path(os.path.normpath(Path(below) / to_path(path)))) for path in rows["path"]]
    return rows[list(COLUMNS)].assign(path=paths, group=[f"{number}:{group}" for group in rows["group"]])


def _check(table: pd.DataFrame, data: DataConfig) -> None:
    codes = pd.Categorical(table["split"], SPLITS).codes
    try:
        present = {name: code for code, name in enumerate(SPLITS) if (codes == code).any()}
        check_labels(table["label"].to_numpy(), codes, present)
    except UserError as error:
        hint = "; with data.own=real the fakes come from data.add=[gan:RUN]" if data.own == "real" else ""
        raise UserError(f"{error}{hint}") from None


def _header(own: Manifest, added: list[Manifest], table: pd.DataFrame, data: DataConfig, root: Path) -> dict[str, Any]:
    names = [own.name + ("-real" if data.own == "real" else ""), *dict.fromkeys(manifest.name for manifest in added)]
    return {
        **own.header,
        "name": "+".join(names),
        "root": str(root),
        "fingerprint": fingerprint(table),
        "images": len(table),
        "parts": {manifest.name: manifest.fingerprint for manifest in (own, *added)},
    }


def _is_saved(manifest: Manifest, folder: Path) -> bool:
    try:
        saved = Manifest.load(folder)
    except UserError:
        return False
    return saved.header == manifest.header and saved.table.equals(manifest.table)
