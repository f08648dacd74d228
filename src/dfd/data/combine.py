"""One manifest of several: a data set's own images, or its real ones alone, with other sets or generated ones added."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from dfd.config import DataConfig
from dfd.config.typed import assignment
from dfd.data.duplicates import group_images
from dfd.data.manifest import COLUMNS, HEADER, SPLITS, Manifest, counts, fingerprint
from dfd.data.names import to_path, to_text
from dfd.data.samples import MARK, load_samples
from dfd.data.splits import check_labels, earlier_rows
from dfd.errors import UserError

REAL = "real:"  # how `data.add` names the real images of a data set alone
SAME_BITS = 8  # of 256: the same generated picture in another file format. What is merely alike was grouped in its part


def combine(own: Manifest, data: DataConfig) -> Manifest:
    """`own` with what `data.add` names, kept beside it as a data set of its own.

    Every image stays in the split that it has. Of a picture that two parts hold, such as two runs of one seed, one row
    stays: that of the later split (test after val after train). Raises UserError if something is not there, or if a
    split of the result would hold one class only.
    """
    added = [_added(named, data) for named in data.add]
    for manifest in added:
        _check_splits(manifest, own)
    parts = [(own, _chosen(own.table, data)), *((manifest, manifest.table) for manifest in added)]
    root = Path(os.path.commonpath([str(manifest.root) for manifest, _ in parts]))
    numbers = _numbers([manifest for manifest, _ in parts])
    moved = [_moved(manifest, rows, root, number) for number, (manifest, rows) in zip(numbers, parts, strict=True)]
    generated = all(named.startswith(MARK) for named in data.add)
    bits = SAME_BITS if generated else data.near_duplicate_bits
    table, repeated = _without_repetitions(pd.concat(moved, ignore_index=True), bits)
    _check(table, data)
    table = table.sort_values("path", ignore_index=True)
    header = _header(own, added, table, data, root) | {"cautions": _cautions(own, added, repeated)}
    folder = Path(data.root) / "prepared" / header["name"]
    combined = Manifest(table, header, folder)
    if not _is_saved(combined, folder):
        combined.save(folder)
    return combined


def _added(named: str, data: DataConfig) -> Manifest:
    if named.startswith(MARK):
        return load_samples(named)
    name = named.removeprefix(REAL)
    folder = Path(data.root) / "prepared" / name
    if not (folder / HEADER).is_file():
        raise UserError(
            f"data.add={named}: {folder} holds no prepared data set; {_how_to_prepare(name)}, or name generated images "
            f"as {MARK}RUN"
        )
    manifest = Manifest.load(folder)
    return _reals(manifest) if named.startswith(REAL) else manifest


def _check_splits(added: Manifest, own: Manifest) -> None:
    """Raise UserError if nothing of `added` would be measured: it was last split for a cross-validation of its own."""
    if set(added.table["split"]) == {SPLITS[0]} and set(own.table["split"]) == set(SPLITS):
        name = added.header["name"].removesuffix("-real")
        raise UserError(
            f"data.add: all images of {name} are in its train split, so that nothing of it would be measured: it was "
            f"last prepared with data.fractions={added.header.get('settings', {}).get('fractions')}. Split it anew: "
            + _how_to_prepare(name)
        )


def _how_to_prepare(name: str) -> str:
    """A set that has no settings file of its own is made by `data=folder`, or by adding again."""
    if "+" in name:
        return "it was made of several, which are to be named one by one"
    own = f"data=folder {assignment('data.name', name)} data.source=FOLDER"
    return f"run `dfd data prepare {assignment('data', name)}` first, for images of your own `dfd data prepare {own}`"


def _reals(manifest: Manifest) -> Manifest:
    """The real images of a data set, as one of its own."""
    table = manifest.table[manifest.table["label"] == 0].reset_index(drop=True)
    return Manifest(table, {**manifest.header, "name": f"{manifest.name}-real", "fingerprint": fingerprint(table)})


def _chosen(table: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    large = table[table[["width", "height"]].min(axis=1) >= data.min_side]
    if large.empty:
        raise UserError(f"data.min_side={data.min_side}: no image of {data.name} has sides of so many pixels")
    return large[large["label"] == 0] if data.own == "real" else large


def _numbers(parts: list[Manifest]) -> list[int]:
    """What sets the groups of the parts apart. Redrawn images share the groups, and so the number, of their originals.

    Raises UserError if these are not there, or have been split anew since.
    """
    own = {manifest.fingerprint: number for number, manifest in enumerate(parts)}
    numbers = []
    for number, manifest in enumerate(parts):
        of = manifest.header.get("about", {}).get("of")
        if of is not None and of not in own:
            raise UserError(
                f"data.add: the images of {manifest.name} were redrawn from a data set with the fingerprint {of}, "
                f"which is none of these: {', '.join(own)}. Name their data set too, or, if it was prepared or split "
                "anew since, run `dfd gan redraw` again"
            )
        numbers.append(number if of is None else own[of])
    return numbers


def _moved(manifest: Manifest, rows: pd.DataFrame, root: Path, number: int) -> pd.DataFrame:
    """Rows with paths from another root, and groups that no other manifest has."""
    below = os.path.relpath(manifest.root, root)
    paths = [to_text(Path(os.path.normpath(Path(below) / to_path(path)))) for path in rows["path"]]
    return rows[list(COLUMNS)].assign(path=paths, group=[f"{number}:{group}" for group in rows["group"]])


def _without_repetitions(table: pd.DataFrame, bits: int) -> tuple[pd.DataFrame, int]:
    """Groups over all parts together, no file and no group in two splits, no file that is real here and fake there; and
    the number of rows left out.
    """
    table["group"], _ = group_images(table, bits)
    contested = table.groupby("sha256")["label"].transform("nunique") > 1
    kept = table[~earlier_rows(table) & ~contested].drop_duplicates("sha256")
    return kept.reset_index(drop=True), len(table) - len(kept)


def _check(table: pd.DataFrame, data: DataConfig) -> None:
    codes = pd.Categorical(table["split"], SPLITS).codes
    try:
        if not table["label"].any():
            raise UserError("there are no fakes")
        present = {name: code for code, name in enumerate(SPLITS) if (codes == code).any()}
        check_labels(table["label"].to_numpy(), codes, present)
    except UserError as error:
        hint = "; with data.own=real the fakes come from data.add=[gan:RUN]" if data.own == "real" else ""
        raise UserError(f"{error}{hint}") from None


def _header(own: Manifest, added: list[Manifest], table: pd.DataFrame, data: DataConfig, root: Path) -> dict[str, Any]:
    kept = ("-real" if data.own == "real" else "") + (f"-min{data.min_side}" if data.min_side else "")
    names = [own.name + kept, *dict.fromkeys(manifest.name for manifest in added)]
    return {
        **own.header,
        "name": "+".join(names),
        "root": str(root),
        "fingerprint": fingerprint(table),
        "images": len(table),
        "counts": counts(table, "split"),
        "sources": counts(table, "source"),
        "parts": [[manifest.name, manifest.fingerprint] for manifest in (own, *added)],
    }


def _cautions(own: Manifest, added: list[Manifest], repeated: int) -> list[str]:
    """Where samples differ from the real images in what any detector learns first: size and file format."""
    real = own.table[own.table["label"] == 0]
    fakes = [manifest for manifest in added if manifest.table["label"].all()]
    generated = [manifest for manifest in fakes if "of" not in manifest.header.get("about", {})]
    told = [f"{repeated:,} images left out: they repeat others, or are real here and fake there"] if repeated else []
    for manifest in generated:
        for what, name in (("height", "pixels high"), ("format", "files")):
            ours, theirs = (rows[what].mode().iloc[0] for rows in (real, manifest.table))
            if ours != theirs:
                told.append(
                    f"the fakes of {manifest.name} are {theirs} {name}, the reals {ours}: a detector may learn no more "
                    "than that; see side, format and quality of dfd gan generate, and model.input_size"
                )
    return told


def _is_saved(manifest: Manifest, folder: Path) -> bool:
    try:
        saved = Manifest.load(folder)
    except UserError:
        return False
    return saved.header == manifest.header and saved.table.equals(manifest.table)
