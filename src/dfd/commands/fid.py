"""What `dfd eval fid=…` does: generated and real images in, the distances between them and a report out."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from dfd.commands.fid_sets import Compared, folders, samples_and_reals
from dfd.commands.provenance import command_line
from dfd.config import EvalConfig, FidConfig
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.evaluation.distances import measure
from dfd.evaluation.nearest import Beside, memorisation, nearest
from dfd.evaluation.runs import METRICS, OF_IMAGES
from dfd.files import write_text
from dfd.inference.extractors import Extractor, extractor_of
from dfd.report.fid_page import FidContext, Pair, write_fid_page
from dfd.report.fid_table import print_fid
from dfd.runtime import Runtime, fp32_only, start

REPORT = "report.html"
PAIRS = 8  # closest pairs of sample and training image on the page


def run(config: EvalConfig, out: Path) -> int:
    """Measure a GAN's samples, or a folder of images, against real ones. EXIT_PARTIAL if some could not be read."""
    assert config.fid is not None
    _check(config, config.fid)
    runtime = start(fp32_only(config.runtime, "distances are measured"), cpu_bf16=False)
    out = runtime.broadcast(out)
    extractor = extractor_of(config.fid, runtime)
    if runtime.is_main:
        print(f"extractor    {extractor.label}: {extractor.name}, {extractor.origin}", flush=True)
    gather = folders if config.fid.real else samples_and_reals
    sets = gather(config.fid, extractor, runtime)
    runtime.on_main(lambda: _publish(config.fid, extractor, sets, runtime, out))
    return EXIT_PARTIAL if sets.errors else EXIT_OK


def _check(config: EvalConfig, fid: FidConfig) -> None:
    for key in ("bundle", "data", "robustness"):
        if getattr(config, key) is not None:
            mend = "; the network is fid.bundle" if key == "bundle" else ""
            raise UserError(f"{key} has no part in fid: images are compared, and no detector is measured{mend}")
    if config.split != "test":
        raise UserError(
            f"split={config.split} has no part in fid; fid.split={config.split} says which reals are compared with"
        )
    if (fid.real is None) != (fid.fake is None):
        given, lacking = ("real", "fake") if fid.real else ("fake", "real")
        raise UserError(
            f"fid.{given} is given, and fid.{lacking} is not: accepted are two folders, or neither, for the samples of "
            "a GAN and the images that it was trained on"
        )
    if fid.real is not None and fid.run is not None:
        raise UserError("fid.run has no part in the distance between the folders fid.real and fid.fake")


def _publish(fid: FidConfig | None, extractor: Extractor, sets: Compared, runtime: Runtime, out: Path) -> None:
    """Measure; write the report and, last of all, metrics.json; print the table and where things are."""
    assert fid is not None
    close = nearest(sets.fake.features, sets.training)
    others = sets.training if sets.held_out is None else sets.held_out
    held_out = nearest(others, sets.training, itself=sets.held_out is None).distance
    figures: dict[str, Any] = {
        "kind": OF_IMAGES,
        "label": extractor.label,
        **sets.about,
        "extractor": {"name": extractor.name, "origin": extractor.origin, "sha256": extractor.digest},
        "resolution": sets.square.side,
        "filter": sets.square.filter,
        "seed": fid.seed,
        "device": runtime.describe(),
        **measure(sets.real.features, sets.fake.features, fid.subsets, fid.subset_size, fid.seed),
        "memorisation": memorisation(close.distance, held_out, _beside(sets)),
        "held_out": "each training image against the others" if sets.held_out is None else "reals of the val split",
        "n_unreadable": len(sets.errors),
        "unreadable": [{"path": path, "error": reason} for path, reason in sorted(sets.errors.items())],
    }
    order = close.distance.argsort(kind="stable")[:PAIRS]
    pairs = [
        Pair(*sets.fake_picture(int(row)), *sets.training_picture(int(close.row[row])), float(close.distance[row]))
        for row in order
    ]
    command = command_line()
    write_fid_page(out / REPORT, FidContext(figures, pairs, close.distance, held_out, command))
    write_text(out / METRICS, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    print_fid(Console(), figures)
    print(f"figures      {out / METRICS}\nreport       {out / REPORT}")


def _beside(sets: Compared) -> Beside | None:
    if sets.held_out is None:
        return None
    share = len(sets.training) / (len(sets.training) + len(sets.held_out))
    return Beside(nearest(sets.fake.features, sets.held_out).distance, share)
