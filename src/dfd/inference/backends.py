"""Which engine runs a bundle: PyTorch, or the graph of an export."""

import os
from pathlib import Path

from dfd.config.typed import assignment
from dfd.errors import UserError
from dfd.inference import graph as graphs
from dfd.inference.engine import Engine, TorchEngine
from dfd.inference.graph import Graph
from dfd.inference.graph_engine import GraphEngine, check_precision
from dfd.inference.onnx_engine import OnnxEngine
from dfd.inference.openvino_engine import OpenVinoEngine
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime

ENGINES: dict[str, type[GraphEngine]] = {"onnx": OnnxEngine, "openvino": OpenVinoEngine}
BUNDLE = "bundle"  # the name of its folder in a run
FORMATS = {engine.backend: name for name, engine in ENGINES.items()}


def open_engine(folder: Path, bundle: Bundle, backend: str, runtime: Runtime) -> Engine:
    """The engine that `backend` (of `config.BACKENDS`) names, for the bundle in `folder`.

    'auto' takes the graph that an export has put beside the bundle, and torch if there is none. A backend with a graph
    takes that one, or the newest export of the same bundle. Raises UserError if there is none, or if it can't be used.
    """
    if backend == "torch":
        return TorchEngine(bundle, runtime)
    place = _beside(folder) if backend == "auto" else _of_format(folder, bundle, FORMATS[backend])
    if place is None and backend == "auto":
        return TorchEngine(bundle, runtime)
    if place is None:
        raise UserError(
            f"backend={backend}: there is no {FORMATS[backend]} graph of {bundle.name} beside it or under "
            f"outputs/export/; make one with dfd export {assignment('bundle', folder)} format={FORMATS[backend]}"
        )
    graph = graphs.read(place)
    check_precision(graph, runtime)
    return engine_of(graph, bundle, runtime)


def engine_of(graph: Graph, bundle: Bundle, runtime: Runtime) -> GraphEngine:
    """The engine that runs a graph. Raises UserError if it is not the bundle's, or its engine is not there."""
    return ENGINES[graph.format](bundle, graph, runtime)


def _beside(folder: Path) -> Path | None:
    """The graph of the export that the bundle lies in. One without its card is an error, not a reason for torch."""
    place = Path(os.path.normpath(folder / os.pardir / graphs.FOLDER))
    return place if folder.resolve().name == BUNDLE and place.is_dir() else None


def _of_format(folder: Path, bundle: Bundle, format: str) -> Path | None:
    place = _beside(folder)
    if place is not None and graphs.read_card(place).get("format") == format:
        return place
    return graphs.newest(bundle, format)
