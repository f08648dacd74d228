"""dfd predict: bundle and image files in, a table of verdicts out."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfd.config import PredictConfig
from dfd.data.dataset import Images
from dfd.data.discover import find_images
from dfd.data.names import to_text
from dfd.data.transforms import Joint
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.inference.engine import TorchEngine
from dfd.inference.predictions import check_output, predictions_of, save_predictions
from dfd.inference.score import score
from dfd.models.bundle import find, load
from dfd.runtime import start

ROWS_ON_SCREEN = 40
COLORS = {"fake": "red", "unsure": "yellow", "real": "green"}


def run(config: PredictConfig, out: Path) -> int:
    """Score the files. Returns EXIT_PARTIAL if some of them could not be used."""
    if not config.inputs:
        raise UserError("nothing to predict: name files, folders or globs, as in `dfd predict photo.jpg photos/`")
    if config.output:
        check_output(Path(config.output))
    found = find_images(config.inputs)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    out = runtime.broadcast(out)
    engine = TorchEngine(bundle, runtime)
    label = "images" if len(found.paths) > config.batch_size else None

    def images_for(joint: Joint) -> Images:
        return Images(found.paths, joint, config.max_pixels or bundle.max_pixels)

    logits, errors = score(engine, images_for, config.batch_size, runtime, label)
    table = predictions_of(_rows(found.paths), logits, errors, bundle.calibration)
    if runtime.is_main:
        _write(config, table, out)
        _show(table, found.skipped, str(folder), out, config)
    return EXIT_PARTIAL if table["error"].notna().any() else EXIT_OK


def _rows(paths: list[Path]) -> pd.DataFrame:
    return pd.DataFrame({"path": [to_text(path) for path in paths], "label": -1, "split": "", "source": ""})


def _write(config: PredictConfig, table: pd.DataFrame, out: Path) -> None:
    save_predictions(table, out / "predictions.parquet")
    if config.output:
        save_predictions(table, Path(config.output))


def _show(table: pd.DataFrame, skipped: int, bundle: str, out: Path, config: PredictConfig) -> None:
    console = Console()
    screen = Table(box=None, pad_edge=False)
    screen.add_column("file", overflow="fold")
    screen.add_column("verdict")
    screen.add_column("P(fake)")
    for row in table.head(ROWS_ON_SCREEN).to_dict("records"):
        screen.add_row(escape(row["path"]), *_cells(row))
    console.print(screen)
    if len(table) > ROWS_ON_SCREEN:
        print(f"… and {len(table) - ROWS_ON_SCREEN} more")
    counts = ", ".join(f"{(table['verdict'] == name).sum()} {name}" for name in COLORS)
    failed = int(table["error"].notna().sum())
    print(f"\n{len(table)} files: {counts}" + (f", {failed} could not be used" if failed else ""))
    if skipped:
        print(f"{skipped} other files in these folders are no images")
    print(f"bundle       {bundle}{'' if config.bundle else ' (the newest)'}")
    print(f"table        {config.output or out / 'predictions.parquet'}")


def _cells(row: dict[Any, Any]) -> tuple[str, str]:
    if isinstance(row["error"], str):
        return "[dim]-[/dim]", f"[red]{escape(row['error'])}[/red]"
    return f"[{COLORS[row['verdict']]}]{row['verdict']}[/]", f"{row['prob']:.3f}"
