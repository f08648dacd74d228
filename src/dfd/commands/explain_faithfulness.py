"""What `dfd explain --faithfulness` does: how far maps can be trusted, measured on images of a data set."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from tqdm import tqdm

from dfd.commands.data import data_of, prepared
from dfd.commands.provenance import command_line, measured_on
from dfd.config import ExplainConfig
from dfd.data.decode import UnusableImage, read_image
from dfd.data.layout import replaced_parts
from dfd.data.manifest import Manifest
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.explain.faithfulness import Answers, Examiner
from dfd.explain.randomisation import PARTS, randomised
from dfd.explain.summary import summarise
from dfd.files import replacing, write_text
from dfd.inference.engine import TorchEngine
from dfd.inference.versions import image_seed
from dfd.models.bundle import Bundle, find, load
from dfd.report.explain_faithfulness_page import FaithfulnessContext, write_faithfulness_page
from dfd.report.explain_faithfulness_table import print_faithfulness
from dfd.report.words import printable, which
from dfd.runtime import Runtime, fp32_only, seed_from, start

# Not metrics.json: no detector is measured, and `dfd compare` looks for that.
FIGURES, TABLE, PAGE = "faithfulness.json", "faithfulness.parquet", "report.html"
SEEDS = 2**31  # what every generator takes


@dataclass(frozen=True)
class Chosen:
    """The images measured on: rows of the manifest, the first `n` of them for all figures and the others for pointing.

    `seen` says whether the bundle was trained or tuned on them, `left_out` how many were passed over since it was.
    """

    rows: pd.DataFrame
    n: int
    seen: bool
    left_out: int


def run(config: ExplainConfig, out: Path) -> int:
    """Measure the methods. Returns EXIT_PARTIAL if some images could not be read."""
    _check(config)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(fp32_only(config.runtime, "maps are made"), cpu_bf16=False)
    out = runtime.broadcast(out)
    manifest = prepared(config.data or data_of(bundle), runtime)
    failed = runtime.on_main(lambda: _measure(config, bundle, folder, manifest, runtime, out))
    return EXIT_PARTIAL if runtime.broadcast(failed) else EXIT_OK


def _check(config: ExplainConfig) -> None:
    if not config.methods:
        raise UserError("methods=[] names nothing to measure; accepted is such as methods=[gradcam,lime]")
    if len(set(config.methods)) < len(config.methods):
        raise UserError(f"methods={config.methods} names a method twice")


def choose(bundle: Bundle, manifest: Manifest, config: ExplainConfig) -> Chosen:
    """Rows of a split, drawn by the seed, both classes alike where they can be.

    Images that the bundle has seen are left out, unless it has seen them all.
    """
    rows = manifest.rows(config.split)
    seen = bundle.has_seen(rows["sha256"]).to_numpy()
    left_out = 0 if seen.all() else int(seen.sum())
    rows = rows[~seen] if left_out else rows
    order = rows.iloc[np.random.default_rng(config.seed).permutation(len(rows))]
    turn = order.groupby("label").cumcount()  # first of each class, second of each class, …
    order = order.assign(turn=turn).sort_values(["turn", "label"], kind="stable").drop(columns="turn")
    first, others = order.head(config.n), order.iloc[config.n :]
    known = [bool(replaced_parts(_region(row))) for row in others.to_dict("records")]
    further = others[np.array(known, bool)].head(config.pointing)
    return Chosen(pd.concat([first, further], ignore_index=True), len(first), bool(seen.all()), left_out)


def _region(row: dict[Any, Any]) -> str:
    """The digits of a data set that has them."""
    return str(row.get("region", ""))


def _measure(
    config: ExplainConfig, bundle: Bundle, folder: Path, manifest: Manifest, runtime: Runtime, out: Path
) -> bool:
    """Returns True if some images could not be read."""
    chosen = choose(bundle, manifest, config)
    _announce(config, bundle, folder, manifest, chosen)
    engine = TorchEngine(bundle, runtime)
    parts = PARTS if config.randomised else ()
    forgetful = {part: randomised(bundle, part, seed_from(config.seed, number)) for number, part in enumerate(parts)}
    examine = Examiner(bundle, engine, runtime, tuple(config.methods), config.samples, config.batch_size, forgetful)
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    bar = tqdm(chosen.rows.to_dict("records"), "measuring maps", unit="img", disable=None)
    for number, row in enumerate(bar):
        try:
            image = read_image(manifest.file(row["path"]), config.max_pixels or bundle.max_pixels)
        except UnusableImage as error:
            errors.append({"path": row["path"], "error": error.reason})
            continue
        seed = seed_from(config.seed, image_seed(row["sha256"])) % SEEDS
        whole = number < chosen.n
        answers = examine(image, _region(row), seed, curves=whole, alike=whole and number < config.randomised)
        rows += _rows(row, answers)
    if not any(row["deletion_curve"] is not None for row in rows):
        raise UserError(f"none of the {chosen.n} images could be read; the first: {printable(errors[0]['error'])}")
    _publish(config, bundle, manifest, chosen, pd.DataFrame(rows), errors, engine, out)
    return bool(errors)


def _announce(config: ExplainConfig, bundle: Bundle, folder: Path, manifest: Manifest, chosen: Chosen) -> None:
    more = len(chosen.rows) - chosen.n
    further = f", and {more} more fakes for pointing" if more else ""
    name = printable(bundle.name)
    print(f"bundle       {which(folder, config.bundle)}")
    print(f"data         {printable(manifest.name)} {manifest.fingerprint}, {config.split}, {chosen.n} images{further}")
    if chosen.left_out:
        print(f"left out     {chosen.left_out} images of the split: {name} was trained or tuned on these files")
    if chosen.seen:
        print(f"caution      {name} was trained or tuned on these very images; see the page for what that means")
    sys.stdout.flush()


def _rows(row: dict[Any, Any], answers: Answers) -> list[dict[str, Any]]:
    """One row a method."""
    about = {name: row[name] for name in ("path", "label", "source", "group", "sha256")}
    common = {
        **about,
        "region": _region(row),
        "prob": answers.prob,
        "called_fake": answers.called_fake,
        "area": np.nan if answers.area is None else answers.area,
        "middle": np.nan if answers.middle_hits is None else float(answers.middle_hits),
    }
    return [
        {
            **common,
            "method": each.method,
            "deletion": each.curves.deletion_auc if each.curves else np.nan,
            "insertion": each.curves.insertion_auc if each.curves else np.nan,
            "pointing": np.nan if each.pointing is None else each.pointing,
            **{f"alike_{part}": each.alike.get(part, np.nan) for part in PARTS},
            "deletion_curve": each.curves.deletion.tolist() if each.curves else None,
            "insertion_curve": each.curves.insertion.tolist() if each.curves else None,
        }
        for each in answers.measured
    ]


def _publish(
    config: ExplainConfig,
    bundle: Bundle,
    manifest: Manifest,
    chosen: Chosen,
    table: pd.DataFrame,
    errors: list[dict[str, str]],
    engine: TorchEngine,
    out: Path,
) -> None:
    """Write table and page and, last of all, the figures; print the figures and where things are."""
    figures = {
        **measured_on(bundle, manifest, config.split),
        "device": engine.describe(),
        "seen": chosen.seen,
        "left_out": chosen.left_out,
        "samples": config.samples,
        "seed": config.seed,
        "n_unreadable": len(errors),
        **summarise(table, config.methods, config.evaluation),
    }
    with replacing(out / TABLE) as temporary:
        table.to_parquet(temporary, index=False)
    write_faithfulness_page(out / PAGE, FaithfulnessContext(figures, errors, command_line()))
    write_text(out / FIGURES, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    print_faithfulness(Console(), figures)
    for told, file in (("figures", FIGURES), ("table", TABLE), ("page", PAGE)):
        print(f"{told:12} {printable(out / file)}")
