"""From raw images to a manifest: find, read, group, split, save; and nothing of it again if nothing changed."""

import hashlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfd import __version__
from dfd.config import DataConfig
from dfd.data.archive import unpack
from dfd.data.combine import combine
from dfd.data.duplicates import group_images
from dfd.data.inspect import describe_all
from dfd.data.manifest import COLUMNS, LABELS, SPLITS, Manifest, counts, fingerprint
from dfd.data.names import to_text
from dfd.data.sources import SOURCES, Raw
from dfd.data.splits import assign_splits, check_labels, earlier_rows, last_split
from dfd.errors import UserError
from dfd.files import replacing

PIPELINE = 3  # raise it when the same files and settings would give another manifest
STRADDLES = "a near duplicate is in the published split"
COMBINED = ("own", "add", "min_side")  # settings of what is made of the manifest; see `combine`
UNUSABLE, DROPPED = "unusable.csv", "dropped.csv"


def prepare(data: DataConfig, workers: int = -1, force: bool = False) -> Manifest:
    """The manifest of a data set, with the samples that `data.add` names; see `combine` and `prepare_own`."""
    own = prepare_own(data, workers, force)
    return combine(own, data) if data.add or data.own != "all" or data.min_side > 0 else own


def prepare_own(data: DataConfig, workers: int = -1, force: bool = False) -> Manifest:
    """The manifest of a data set's own images, made anew if its files or settings changed, or if `force`.

    Kept in <root>/prepared/<name>, with the files that could not be used in `unusable.csv` and usable ones that
    were left out in `dropped.csv`. Raises UserError if there is no data, or too little of a class.
    """
    folder = manifest_folder(data)
    previous = _previous(folder)
    place = _locate(data, previous)
    if place is None:  # the archive or link is gone, the images are still where they were
        assert previous
        return previous
    raw = SOURCES[data.module].find(_unpacked(place, data), data)
    if raw.table.empty:
        raise UserError(f"no images found in {raw.root}")
    signature = _signature(raw, data)
    if previous and not force and previous.header.get("signature") == signature:
        return previous
    manifest, unusable, dropped = _build(raw, data, workers)
    manifest.header.update(source=os.path.abspath(place), signature=signature)
    _save_list(unusable, folder / UNUSABLE)
    _save_list(dropped, folder / DROPPED)
    manifest.save(folder)
    return manifest


def manifest_folder(data: DataConfig) -> Path:
    """Where the manifest of a data set is kept."""
    if data.name in ("", ".", "..") or "/" in data.name or "\\" in data.name:
        raise UserError(f"data.name={data.name!r} is not a plain name, which a folder could have")
    return Path(data.root) / "prepared" / data.name


def _previous(folder: Path) -> Manifest | None:
    try:
        return Manifest.load(folder)
    except UserError:
        return None


def _locate(data: DataConfig, previous: Manifest | None) -> Path | None:
    """The raw folder or file; None if it is gone but `previous` still stands for the same settings."""
    if data.source is not None:
        if not Path(data.source).exists():
            raise UserError(f"data.source={data.source} does not exist")
        return Path(data.source)
    raw, source = Path(data.root) / "raw", SOURCES[data.module]
    if data.module == "demo":
        return raw / data.name
    places = [raw / name for name in (data.name, f"{data.name}.zip", *source.archives)]
    if previous and previous.header.get("module") == data.module:
        places.insert(0, Path(previous.header.get("source", "")))  # what was prepared once under this name is meant
    for place in places:
        if place.exists():
            return place
    if previous and previous.header.get("settings") == _settings(data) and previous.root.is_dir():
        return None
    gone = f" It was prepared from {previous.header.get('source')}, which is no longer there." if previous else ""
    raise UserError(
        f"data set {data.name!r} not found in {raw}.{gone} Get {source.where}. Put it there as {data.name}/ or under "
        "the name that the download has, or name its place with data.source=PATH"
    )


def _unpacked(place: Path, data: DataConfig) -> Path:
    if place.suffix.lower() == ".zip" and place.is_file():
        return unpack(place, Path(data.root) / "raw-extracted")
    return place


def _settings(data: DataConfig) -> dict[str, Any]:
    """The settings that decide what is in the manifest, given the files."""
    values = asdict(data) | {"fractions": [float(part) for part in data.fractions]}
    return {key: value for key, value in values.items() if key not in ("source", "root", *COMBINED)}


def _signature(raw: Raw, data: DataConfig) -> str:
    """A hash over settings, files (path, size, date) and what their place says of them."""
    digest = hashlib.sha256(json.dumps([PIPELINE, __version__, str(raw.root.resolve()), _settings(data)]).encode())
    for row in raw.table.itertuples(index=False):
        try:
            status = (raw.root / row.path).stat()
            file = (status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            file = (-1, -1)
        digest.update(repr((*map(str, row), *file)).encode())
    return digest.hexdigest()


def _build(raw: Raw, data: DataConfig, workers: int) -> tuple[Manifest, pd.DataFrame, pd.DataFrame]:
    """The manifest, and the tables (path, reason) of unusable and of dropped files."""
    root = raw.root.resolve()
    records = describe_all([root / path for path in raw.table["path"]], data.max_pixels, workers)
    table = pd.concat([raw.table.reset_index(drop=True), pd.DataFrame(map(asdict, records))], axis=1)
    table["path"] = [to_text(path) for path in table["path"]]
    table = table.sort_values("path", ignore_index=True).astype({"label": np.int8})
    unusable = table.loc[table["error"] != "", ["path", "error"]].rename(columns={"error": "reason"})
    table = table[table["error"] == ""].drop(columns="error").reset_index(drop=True)
    kinds = LABELS[:1] if data.own == "real" else LABELS
    _check_usable(table, unusable, root, kinds)

    table["group"], duplicates = group_images(table, data.near_duplicate_bits)
    keep_splits = data.keep_splits and "split" in table
    dropped = _dropped(table, keep_splits)
    table = table.drop(dropped.index).reset_index(drop=True)
    if keep_splits:
        duplicates["across_published_splits"] = int(dropped["reason"].str.startswith(STRADDLES).sum())
        kept = pd.Categorical(table["split"], SPLITS).codes
        check_labels(table["label"].to_numpy(), kept, {SPLITS[code]: code for code in np.unique(kept)}, kinds)
    else:
        table["split"] = assign_splits(table, data.fractions, data.split_seed, kinds)
    table = table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]].infer_objects()
    header = {
        "name": data.name,
        "module": data.module,
        "root": str(root),
        "fingerprint": fingerprint(table),
        "images": len(table),
        "counts": counts(table, "split"),
        "sources": counts(table, "source"),
        "unusable": len(unusable),
        "dropped": len(dropped),
        "duplicates": duplicates,
        "notes": raw.notes,
        "settings": _settings(data),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
    }
    return Manifest(table, header, manifest_folder(data)), unusable, dropped


def _check_usable(table: pd.DataFrame, unusable: pd.DataFrame, folder: Path, wanted: tuple[str, ...]) -> None:
    for label, word in enumerate(wanted):
        if not (table["label"] == label).any():
            example = f", such as {unusable['path'].iloc[0]}: {unusable['reason'].iloc[0]}" if len(unusable) else ""
            raise UserError(f"no usable {word} images in {folder} ({len(unusable):,} unusable{example})")


def _dropped(table: pd.DataFrame, keep_splits: bool) -> pd.DataFrame:
    """Rows (path, reason), by the index of `table`, that must not be used.

    The same file under both labels has no known label. Where published splits are kept and a group is in several of
    them, the rows of the split that is used last stay: those of test before those of val before those of train, so
    that the test split is the published one and training has seen nothing of it.
    """
    reason = pd.Series("", index=table.index)
    if keep_splits:
        earlier = earlier_rows(table)
        reason[earlier] = [f"{STRADDLES} {SPLITS[code]}" for code in last_split(table)[earlier]]
    reason[table.groupby("sha256")["label"].transform("nunique") > 1] = "the same file is there as real and as fake"
    return pd.DataFrame({"path": table["path"], "reason": reason})[reason != ""]


def _save_list(rows: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        rows.to_csv(temporary, index=False)
