"""dfd data audit: what can be told of a data set's labels without any trace of forgery."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from dfd import __version__
from dfd.audit import counterfactual, store
from dfd.audit.encoder import SHARP, Seen, look, set_name
from dfd.audit.families import Family, encoded, families_of
from dfd.audit.measure import CHANCE, Rows, add_primary, given, measure_sets
from dfd.audit.nuisance import Nuisance
from dfd.audit.reading import describe_all
from dfd.commands.data import prepared
from dfd.commands.provenance import command_line
from dfd.config import AuditConfig
from dfd.data.manifest import Manifest
from dfd.data.splits import assign_folds, check_labels
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.evaluation import intervals
from dfd.files import write_text
from dfd.inference.engine import TorchEngine
from dfd.models.bundle import Bundle, find, load
from dfd.report.audit_page import write_audit_page
from dfd.report.audit_table import print_audit
from dfd.runtime import Runtime, start

PAGE = "report.html"
FEWEST = 10  # images of either class


def run(config: AuditConfig, out: Path) -> int:
    """Audit all splits of a data set. Returns EXIT_PARTIAL if some images could not be read; findings are no errors."""
    bundle = load(find(config.bundle)) if config.bundle else None
    runtime = start(config.runtime, cpu_bf16=None if bundle else True)
    out = runtime.broadcast(out)
    manifest = prepared(config.data, runtime)
    fold = _folds(manifest, config)
    if bundle:
        counterfactual.unseen(bundle, manifest)
    if runtime.is_main:
        _announce(config, manifest, bundle)
    # All that needs the ranks or takes long comes first, so that nothing is half-written if it fails.
    paths = [manifest.file(path) for path in manifest.table["path"]]
    records = runtime.on_main(lambda: describe_all(paths, config.data.max_pixels, runtime.workers)) or []
    seen = _look(config, manifest, runtime)
    tested = counterfactual.score_twice(TorchEngine(bundle, runtime), manifest, config, runtime) if bundle else None
    code = EXIT_OK
    if runtime.is_main:
        errors = {row: record.error for row, record in enumerate(records) if record.error}
        for found in (seen, tested):
            errors |= {} if found is None or isinstance(found, str) else found.errors
        _finish(config, manifest, fold, records, seen, bundle, tested, errors, runtime, out)
        code = EXIT_PARTIAL if errors else EXIT_OK
    return int(runtime.broadcast(code))


def _folds(manifest: Manifest, config: AuditConfig) -> NDArray[np.int64]:
    """The fold of each row. Raises UserError, before any work, if there are too few images."""
    counts = np.bincount(manifest.table["label"], minlength=2)
    if counts.min() < FEWEST:
        raise UserError(
            f"too few images to audit {manifest.name}: {counts[0]:,} real and {counts[1]:,} fake; "
            f"at least {FEWEST} of each are needed"
        )
    return assign_folds(manifest.table, config.folds, config.seed)


def _announce(config: AuditConfig, manifest: Manifest, bundle: Bundle | None) -> None:
    counts = manifest.table["label"].value_counts()
    print(f"data         {manifest.name} {manifest.fingerprint}: {counts[0]:,} real, {counts[1]:,} fake, all splits")
    if bundle:
        print(f"bundle       {bundle.name}")
    print(f"folds        {config.folds}, no group in two of them", flush=True)


def _look(config: AuditConfig, manifest: Manifest, runtime: Runtime) -> Seen | str | None:
    """What the encoder sees; or why it could not be had, which is told now and in the report; None: not wanted."""
    if config.encoder.is_none():
        return None
    root, settings = Path(config.data.root), config.evaluation
    seen = look(config.encoder, manifest, root, config.data.max_pixels, settings.batch_size, runtime)
    if isinstance(seen, str) and runtime.is_main:
        print(f"left out     what {config.encoder.name} sees: {seen}", flush=True)
    return seen


def _finish(
    config: AuditConfig,
    manifest: Manifest,
    fold: NDArray[np.int64],
    records: list[Nuisance],
    seen: Seen | str | None,
    bundle: Bundle | None,
    tested: counterfactual.Tested | None,
    errors: dict[int, str],
    runtime: Runtime,
    out: Path,
) -> None:
    """Fit, measure, write, show."""
    numbers = np.array([row for row in range(len(records)) if row not in errors], dtype=np.int64)
    table = manifest.table.iloc[numbers].reset_index(drop=True)
    check_labels(table["label"].to_numpy(), fold[numbers], {f"fold {number}": number for number in range(config.folds)})
    settings = config.evaluation
    rows = Rows(table, fold[numbers], config.strata, settings.resamples, config.seed)
    families = [*families_of([records[row] for row in numbers]), *_encoded(config, seen, numbers)]
    sets, scores = measure_sets(families, rows, references=[SHARP])
    figures = _about(config, manifest, rows, errors, seen, runtime) | {"sets": sets}
    figures |= _beyond(config, seen, scores, rows)
    figures["bundle"] = None
    if bundle and tested:
        primary = scores["primary"].to_numpy()
        figures["bundle"] = counterfactual.measure(tested, bundle, rows, numbers, primary) | {
            "side": config.side,
            "quality": config.quality,
        }
    _write(config, manifest, rows, scores, figures, out)


def _encoded(config: AuditConfig, seen: Seen | str | None, numbers: NDArray[np.int64]) -> list[Family]:
    if not isinstance(seen, Seen):
        return []
    about = {name: f"what {config.encoder.name} sees in images {_side(name)} px wide" for name in seen.features}
    about[SHARP] = f"what {config.encoder.name} sees in the images as they are"
    return [encoded(name, about[name], features[numbers]) for name, features in seen.features.items()]


def _side(name: str) -> str:
    return name.rpartition("_")[2]


def _beyond(config: AuditConfig, seen: Seen | str | None, scores: pd.DataFrame, rows: Rows) -> dict[str, Any]:
    """The primary nuisance score, made in `scores`, and what sharper images tell beyond the most blurred ones."""
    parts, conditional = ["all"], {}
    if isinstance(seen, Seen):
        smallest = set_name(min(config.encoder.sides))
        parts.append(smallest)
        nuisance = scores[smallest].to_numpy()
        conditional = {
            f"{name} given {smallest}": given(scores[name].to_numpy(), nuisance, rows)
            for name in seen.features
            if name != smallest
        }
    return {"primary": add_primary(scores, parts, rows), "conditional": conditional}


def _about(
    config: AuditConfig,
    manifest: Manifest,
    rows: Rows,
    errors: dict[int, str],
    seen: Seen | str | None,
    runtime: Runtime,
) -> dict[str, Any]:
    """What the figures were obtained on, and how."""
    encoder: dict[str, Any] | None = None
    if not config.encoder.is_none():
        encoder = {"name": config.encoder.name, "backbone": config.encoder.backbone, "sides": config.encoder.sides}
        encoder |= {"missing": seen} if isinstance(seen, str) else {"weights": seen.origin if seen else None}
    label, group = rows.label, rows.group
    return {
        "data": manifest.name,
        "fingerprint": manifest.fingerprint,
        "split": "all",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "device": runtime.describe(),
        "n": len(label),
        "n_real": int((label == 0).sum()),
        "n_fake": int((label == 1).sum()),
        "n_groups": len(np.unique(group)),
        "n_unreadable": len(errors),
        "unreadable": [{"path": str(manifest.table["path"].iloc[row]), "error": errors[row]} for row in sorted(errors)],
        "folds": config.folds,
        "strata": config.strata,
        "seed": config.seed,
        "chance": CHANCE,
        "interval": {
            "level": intervals.LEVEL,
            "method": "bootstrap of groups within class, among images of one fold",
            "resamples": config.evaluation.resamples,
            "seed": config.seed,
        },
        "encoder": encoder,
        "settings": {key: value for key, value in asdict(config).items() if key not in ("data", "runtime", "bundle")},
    }


def _write(
    config: AuditConfig, manifest: Manifest, rows: Rows, scores: pd.DataFrame, figures: dict[str, Any], out: Path
) -> None:
    """Page and figures into the run's folder, scores and figures beside the manifest; print the table."""
    named = pd.concat([rows.table[["sha256"]], pd.Series(rows.fold, name="fold"), scores], axis=1)
    assert manifest.folder is not None  # a prepared one
    kept = store.save(manifest.folder, named, figures)
    write_audit_page(out / PAGE, figures, command_line())
    write_text(out / store.FIGURES, store.to_json(figures))
    print_audit(Console(), figures)
    print(f"figures      {out / store.FIGURES}\nscores       {kept / store.SCORES}\nreport       {out / PAGE}")
