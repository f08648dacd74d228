"""dfd predict: bundle, image and video files in; a verdict card for one picture, a table of verdicts for many."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfd.commands.predict_cards import predict_cards
from dfd.config import PredictConfig
from dfd.data.dataset import Images
from dfd.data.discover import Found, find_images
from dfd.data.names import to_text
from dfd.data.transforms import Joint
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError, worst
from dfd.inference.backends import open_engine
from dfd.inference.engine import Engine
from dfd.inference.predictions import check_output, predictions_of, save_predictions
from dfd.inference.score import score
from dfd.models.bundle import find, load
from dfd.report.verdicts import ROWS_ON_SCREEN, colored, counted, rest
from dfd.report.words import printable, which
from dfd.runtime import Runtime, start


def run(config: PredictConfig, out: Path) -> int:
    """Score the files. Returns EXIT_PARTIAL if some of them could not be used."""
    if not config.inputs:
        raise UserError("nothing to predict: name files, folders or globs, as in `dfd predict photo.jpg photos/`")
    if config.output:
        check_output(Path(config.output))
    found = find_images(config.inputs, videos=True)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    out = runtime.broadcast(out)
    engine = open_engine(folder, bundle, config.backend, runtime)
    codes = [EXIT_OK]
    if found.paths:
        codes.append(_images(config, found, engine, runtime, out))
    if found.videos:
        from dfd.commands.predict_video import predict_videos

        # One file can't hold both tables: beside images, that of the videos stays in the run folder.
        alone = replace(config, output=None) if found.paths else config
        codes.append(predict_videos(alone, found.videos, engine, runtime, out))
    if runtime.is_main:
        if found.skipped:
            print(f"{found.skipped} other files in these folders are no images")
        print(f"bundle       {which(folder, config.bundle)}")
    return worst(codes)


def _images(config: PredictConfig, found: Found, engine: Engine, runtime: Runtime, out: Path) -> int:
    """Cards for few images, else the table alone; the table is written either way."""
    if 0 < len(found.paths) <= config.cards:
        made = runtime.on_main(lambda: predict_cards(config, found.paths, engine, runtime, out))
        logits, errors = runtime.broadcast(made)
    else:
        label = "images" if len(found.paths) > config.batch_size else None

        def images_for(joint: Joint) -> Images:
            return Images(found.paths, joint, config.max_pixels or engine.bundle.max_pixels)

        logits, errors = score(engine, images_for, config.batch_size, runtime, label)
    table = predictions_of(_rows(found.paths), logits, errors, engine.bundle.calibration)
    if runtime.is_main:
        _write(config, table, out)
        if len(found.paths) > config.cards:
            _show(table)
        print(f"table        {printable(config.output or out / 'predictions.parquet')}")
    return EXIT_PARTIAL if table["error"].notna().any() else EXIT_OK


def _rows(paths: list[Path]) -> pd.DataFrame:
    return pd.DataFrame({"path": [to_text(path) for path in paths], "label": -1, "split": "", "source": ""})


def _write(config: PredictConfig, table: pd.DataFrame, out: Path) -> None:
    save_predictions(table, out / "predictions.parquet")
    if config.output:
        save_predictions(table, Path(config.output))


def _show(table: pd.DataFrame) -> None:
    screen = Table(box=None, pad_edge=False)
    screen.add_column("file", overflow="fold")
    screen.add_column("verdict")
    screen.add_column("P(fake)")
    for row in table.head(ROWS_ON_SCREEN).to_dict("records"):
        screen.add_row(escape(printable(row["path"])), *_cells(row))
    Console().print(screen)
    if more := rest(len(table)):
        print(more)
    print(f"\n{counted(table, 'files', 'could not be used')}")


def _cells(row: dict[Any, Any]) -> tuple[str, str]:
    if isinstance(row["error"], str):
        return "[dim]-[/dim]", f"[red]{escape(row['error'])}[/red]"
    return colored(row["verdict"]), f"{row['prob']:.3f}"
