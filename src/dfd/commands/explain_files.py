"""What `dfd explain FILES` does: for each picture an overlay, the raw maps and a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from dfd.commands.provenance import command_line
from dfd.config import ExplainConfig
from dfd.data.dataset import image_tensor
from dfd.data.decode import UnusableImage, read_image
from dfd.data.discover import find_images
from dfd.data.names import plain_name, to_text
from dfd.errors import EXIT_OK, EXIT_PARTIAL
from dfd.explain.maps import Map, explain
from dfd.explain.pictures import overlay, png
from dfd.files import replacing
from dfd.inference.engine import TorchEngine
from dfd.inference.predictions import predictions_of, save_predictions
from dfd.models.bundle import Bundle, find, load
from dfd.report.explain_index import SHOWN, Entry, write_explain_index
from dfd.report.explain_page import ExplainContext, thumbnail, write_explain_page
from dfd.report.explain_words import NAMES
from dfd.report.verdicts import ROWS_ON_SCREEN, colored, rest
from dfd.report.words import printable, which
from dfd.runtime import Runtime, fp32_only, start

TABLE, INDEX = "explanations.csv", "report.html"
OPACITY = 0.6
SIDE = 240  # pixels of a picture on the page of all


@dataclass(frozen=True)
class Answer:
    """What became of one file: a row of the table, and its entry on the page of all."""

    row: dict[str, Any]
    entry: Entry | None = None


def run(config: ExplainConfig, out: Path) -> int:
    """Explain each file. Returns EXIT_PARTIAL if some could not be used."""
    found = find_images(config.inputs)
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(fp32_only(config.runtime, "maps are made"), cpu_bf16=False)
    out = runtime.broadcast(out)
    failed = runtime.on_main(lambda: _explain(config, found.paths, bundle, folder, runtime, out))
    return EXIT_PARTIAL if runtime.broadcast(failed) else EXIT_OK


def _explain(
    config: ExplainConfig, paths: list[Path], bundle: Bundle, folder: Path, runtime: Runtime, out: Path
) -> bool:
    """Returns True if some files could not be used."""
    facts = _facts(config, bundle, folder, runtime)
    answers = list(_answers(config, paths, bundle, runtime, out, facts))
    table = pd.DataFrame([answer.row for answer in answers])
    save_predictions(table, out / TABLE)
    unusable = table[table["error"].notna()]
    pages = [out / page for page in table["page"] if isinstance(page, str)]
    page = pages[0] if len(pages) == 1 and unusable.empty else out / INDEX
    if page.name == INDEX:
        entries = [answer.entry for answer in answers if answer.entry][:SHOWN]
        errors = unusable[["path", "error"]].to_dict("records")
        write_explain_index(page, entries, len(pages), errors, config.method, facts, command_line())
    _show(config, table, folder, out, page)
    return not unusable.empty


def _answers(
    config: ExplainConfig, paths: list[Path], bundle: Bundle, runtime: Runtime, out: Path, facts: dict
) -> Iterator[Answer]:
    engine = TorchEngine(bundle, runtime)
    for number, path in enumerate(tqdm(paths, "explaining", unit="img", disable=None if len(paths) > 1 else True)):
        row: dict[str, Any] = {"path": to_text(path)}
        try:
            image = read_image(path, config.max_pixels or bundle.max_pixels)
        except UnusableImage as error:
            yield Answer(_row(row, bundle, np.nan, error.reason))
            continue
        row = _row(row, bundle, _logit(engine, image, runtime), None)
        if row["error"] is not None:
            yield Answer(row)
            continue
        maps = explain(bundle, image, config.method, runtime, config.samples, config.seed)
        name = plain_name(number, path)
        yield _written(config, row, image, maps, bundle, out, name, facts)


def _row(row: dict[str, Any], bundle: Bundle, logit: float, reason: str | None) -> dict[str, Any]:
    errors = {0: reason} if reason else {}
    answer = predictions_of(pd.DataFrame([row]), np.array([logit]), errors, bundle.calibration).to_dict("records")[0]
    columns = {str(key): value for key, value in answer.items()}
    return {**columns, "method": None, "overlay": None, "maps": None, "networks": None, "page": None}


def _logit(engine: TorchEngine, image: np.ndarray, runtime: Runtime) -> float:
    inputs = image_tensor(engine.joint(image))[None].to(runtime.device)
    with torch.inference_mode():
        return float(engine.logits(engine(inputs).cpu().numpy())[0])


def _written(
    config: ExplainConfig,
    row: dict[str, Any],
    image: np.ndarray,
    maps: list[Map],
    bundle: Bundle,
    out: Path,
    name: str,
    facts: dict[str, dict[str, str]],
) -> Answer:
    """Write the files of one picture; the page comes last."""
    picture = overlay(image, maps[0], OPACITY)
    with replacing(out / f"{name}.png") as temporary:
        temporary.write_bytes(png(picture))
    with replacing(out / f"{name}.npy") as temporary:
        np.save(temporary, np.stack([each.values for each in maps]), allow_pickle=False)
    context = ExplainContext(
        name=row["path"],
        image=image,
        maps=maps,
        row=row,
        calibration=bundle.calibration,
        facts=facts,
        samples=config.samples,
        seed=config.seed,
        with_views=config.views,
        command=command_line(),
    )
    write_explain_page(out / f"{name}.html", context)
    networks = " ".join(each.network for each in maps)
    files = {"overlay": f"{name}.png", "maps": f"{name}.npy", "networks": networks, "page": f"{name}.html"}
    entry = Entry(row["path"], thumbnail(picture, SIDE), row["verdict"], row["prob"], f"{name}.html")
    return Answer({**row, "method": config.method, **files}, entry)


def _facts(config: ExplainConfig, bundle: Bundle, folder: Path, runtime: Runtime) -> dict[str, dict[str, str]]:
    draws = f"{config.samples}, seed {config.seed}" if config.method in ("shap", "lime") else "none"
    return {
        "Detector": {"Name": bundle.name, "Bundle": str(folder), "Weights": bundle.sha256[:16]},
        "Map": {"Method": NAMES[config.method], "Random draws": draws, "Device": runtime.describe()},
    }


def _show(config: ExplainConfig, table: pd.DataFrame, folder: Path, out: Path, page: Path) -> None:
    console = Console()
    screen = Table(box=None, pad_edge=False)
    screen.add_column("file", overflow="fold")
    for name in ("verdict", "P(fake)", "overlay"):
        screen.add_column(name)
    for row in table.head(ROWS_ON_SCREEN).to_dict("records"):
        screen.add_row(escape(printable(row["path"])), *_cells(row))
    console.print(screen)
    if more := rest(len(table)):
        print(more)
    failed = int(table["error"].notna().sum())
    print(
        f"\n{len(table)} files, {NAMES[config.method]}: orange speaks for fake, blue for real"
        + (f"; {failed} could not be used" if failed else "")
    )
    print("A map shows what moved the answer. It does not prove that a picture was altered, nor where.")
    print(f"bundle       {which(folder, config.bundle)}")
    print(f"maps         {printable(out)} (.png over the picture, .npy raw)")
    print(f"table        {printable(out / TABLE)}\npage         {printable(page)}")


def _cells(row: dict[Any, Any]) -> tuple[str, str, str]:
    if isinstance(row["error"], str):
        return "[dim]-[/dim]", f"[red]{escape(printable(row['error']))}[/red]", ""
    return colored(row["verdict"]), f"{row['prob']:.3f}", escape(printable(row["overlay"]))
