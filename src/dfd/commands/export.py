"""dfd export: a bundle in; the same bundle out with a graph of its networks, once that is shown to say the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from dfd.commands.data import own_data, prepared
from dfd.commands.provenance import command_line, measured_on
from dfd.config import ExportConfig, RuntimeConfig
from dfd.data.dataset import Images
from dfd.data.manifest import Manifest
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.export import parity
from dfd.export.folders import building, copy_bundle
from dfd.export.make import Ranges, check_wanted, make_graph
from dfd.files import write_text
from dfd.inference import graph as graphs
from dfd.inference.backends import BUNDLE, engine_of
from dfd.inference.engine import TorchEngine, place
from dfd.inference.graph_engine import GraphEngine
from dfd.inference.timing import time_inference
from dfd.models.bundle import Bundle, find, load
from dfd.report.export_page import write_export_page
from dfd.report.export_table import print_export
from dfd.report.words import which
from dfd.runtime import Runtime, fp32_only, full_fp32, start

FIGURES, REPORT = "parity.json", "report.html"
SEED = 0  # which images are taken where there are more than asked for


def run(config: ExportConfig, out: Path) -> int:
    """Write the graph, compare it with the bundle, and keep it if it passes. EXIT_PARTIAL if images can't be read."""
    check_wanted(config.format, config.precision)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(_reference(config.runtime), cpu_bf16=False)
    if runtime.world > 1:
        raise UserError(f"dfd export runs in one process, and {runtime.world} were started; leave torchrun out")
    print(f"bundle       {which(folder, config.bundle)}")
    manifest = prepared(config.data, runtime) if config.data else own_data(bundle, runtime)
    rows, seen = _test_rows(bundle, manifest, config.n)
    what = "images that the bundle has seen, as it was trained or tuned on all" if seen else "images of test"
    print(f"data         {manifest.name} {manifest.fingerprint}: {len(rows)} {what}", flush=True)
    with building(out / graphs.FOLDER) as part:
        figures, graph = _made(part, config, bundle, manifest, rows, runtime)
        figures["seen"] = seen
        graphs.write(part, graph.card)
    copy_bundle(folder, out / BUNDLE)
    _publish(figures, graph, config, out)
    return EXIT_PARTIAL if figures["n_unreadable"] else EXIT_OK


def _reference(config: RuntimeConfig) -> RuntimeConfig:
    """A graph is compared on the CPU, which every engine has, unless another device was asked for."""
    fixed = fp32_only(config, "the bundle that a graph is compared with computes")
    return replace(fixed, device="cpu") if fixed.device == "auto" else fixed


def _test_rows(bundle: Bundle, manifest: Manifest, n: int) -> tuple[pd.DataFrame, bool]:
    """At most `n` images of the test split that the bundle has not seen; whether it has seen them, for lack of others.

    They choose nothing: the graph is made without them, and is kept or refused as it is. A bundle that was
    cross-validated on all images has none left; how alike two engines are can be told from any.
    """
    test = manifest.table[manifest.table["split"] == "test"]
    unseen = test[~bundle.has_seen(test["sha256"])]
    if len(unseen):
        return _sample(unseen, n), False
    return _sample(test if len(test) else manifest.table, n), True


def _sample(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    return rows.sample(min(n, len(rows)), random_state=SEED).sort_index().reset_index(drop=True)


def _made(
    part: Path, config: ExportConfig, bundle: Bundle, manifest: Manifest, rows: pd.DataFrame, runtime: Runtime
) -> tuple[dict[str, Any], graphs.Graph]:
    """The graph in the folder `part`, and its figures. Raises UserError if it does not say what the bundle says."""
    reference = TorchEngine(bundle, runtime)
    graph = make_graph(part, reference, config.format, config.precision, _ranges(config, manifest, rows))
    place(bundle, runtime)  # once more: the exporter wants its networks another way
    engine = engine_of(graph, bundle, runtime)
    images = Images([manifest.file(path) for path in rows["path"]], engine.joint, bundle.max_pixels)
    with full_fp32():
        answers = parity.ask(reference, engine, rows, images, config.batch_size, runtime)
    figures = {**_about(bundle, manifest, rows, graph), **parity.measure(answers, engine)}
    if reason := parity.refusal(figures, config):
        raise UserError(
            f"the {config.precision} graph is not kept, as it says other than {bundle.name}: {reason} ({len(rows)} "
            f"images of {manifest.name})"
        )
    figures["inference_ms"] = _times(reference, engine, runtime)
    figures["unreadable"] = [
        {"path": rows["path"].iloc[row], "error": reason} for row, reason in sorted(answers.errors.items())
    ]
    return figures, graph


def _ranges(config: ExportConfig, manifest: Manifest, compared: pd.DataFrame) -> Ranges | None:
    """Images of train and val, and of no group that is compared: those are for the comparison alone."""
    if config.precision != "int8":
        return None
    table = manifest.table
    free = table[(table["split"] != "test") & ~table["group"].isin(compared["group"])]
    rows = _sample(free, config.calibration)
    if rows.empty:
        raise UserError(
            f"precision=int8 takes its ranges from images of train and val, and {manifest.name} has none; name other "
            "data"
        )
    data = {"data": manifest.name, "fingerprint": manifest.fingerprint, "splits": _splits(rows)}
    return Ranges([manifest.file(path) for path in rows["path"]], data)


def _splits(rows: pd.DataFrame) -> str:
    return ", ".join(sorted(rows["split"].unique()))


def _about(bundle: Bundle, manifest: Manifest, rows: pd.DataFrame, graph: graphs.Graph) -> dict[str, Any]:
    return {
        "kind": "export",
        **measured_on(bundle, manifest, _splits(rows)),
        "format": graph.format,
        "precision": graph.precision,
        "left_out": graph.card["left_out"],
        "ranges": graph.card.get("ranges"),
        "versions": graph.card["versions"],
    }


def _times(reference: TorchEngine, engine: GraphEngine, runtime: Runtime) -> dict[str, Any]:
    timings = {"before": time_inference(reference, runtime), "after": time_inference(engine, runtime)}
    told = {key: {"median": each.median_ms, "p95": each.p95_ms} for key, each in timings.items()}
    return {**told, "device_before": reference.describe(), "device_after": engine.describe_short()}


def _publish(figures: dict[str, Any], graph: graphs.Graph, config: ExportConfig, out: Path) -> None:
    """Write the report and, last of all, the figures; print them and where things are."""
    folder = out / graphs.FOLDER
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    tolerances = {key: getattr(config, key) for key in ("tolerance", "auroc_tolerance", "flip_tolerance")}
    figures = {**figures, "bytes": sizes, "tolerances": tolerances}
    write_export_page(out / REPORT, figures, graph.card, command_line())
    write_text(out / FIGURES, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    print_export(Console(), figures)
    print(f"graph        {folder / graphs.ENTRY[graph.format]}\nbundle       {out / BUNDLE}, which takes it by itself")
    print(f"figures      {out / FIGURES}\nreport       {out / REPORT}")
