"""From a bundle to the files of a graph, in the format and precision that were asked for."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfd.data.dataset import Draw, Images
from dfd.data.transforms import Joint
from dfd.errors import UserError
from dfd.export.description import describe
from dfd.export.network import Exported
from dfd.export.onnx_file import OPSET, write_onnx
from dfd.export.openvino_file import convert, import_nncf, quantised, write_openvino
from dfd.inference.engine import Engine
from dfd.inference.graph import ENTRY, INPUT, Graph
from dfd.inference.openvino_engine import import_openvino
from dfd.models.bundle import versions


@dataclass(frozen=True)
class Ranges:
    """The images that int8 takes its ranges from: files, and whose they are (for the card)."""

    paths: Sequence[Path]
    data: dict[str, Any]


def check_wanted(format: str, precision: str) -> None:
    """Raise UserError if there is no such graph, or a package for it is missing."""
    if format == "onnx" and precision != "fp32":
        raise UserError(f"precision={precision} with format=onnx; accepted is fp32, or format=openvino")
    if format == "openvino":
        import_openvino()
    if precision == "int8":
        import_nncf()


def make_graph(folder: Path, engine: Engine, format: str, precision: str, ranges: Ranges | None) -> Graph:
    """Write the files into `folder`; the card is in the result, and not yet on the disk.

    `ranges` is for int8. Raises UserError if its images can't be read.
    """
    network = Exported(engine.bundle, engine.joint)
    about = describe(engine.bundle, engine.joint, network, engine.width)
    card = {
        "format": format,
        "precision": precision,
        **about.to_dict(),
        "opset": OPSET,
        "versions": _versions(format, precision),
    }
    entry = folder / ENTRY[format]
    if format == "onnx":
        write_onnx(entry, network, about)
        return Graph(folder, card)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".onnx.") as temporary:
        source = Path(temporary) / ENTRY["onnx"]
        write_onnx(source, network, about)
        model = convert(source)
        if ranges is not None:
            images = _images(ranges.paths, engine.joint, engine.bundle.max_pixels)
            model = quantised(model, images)
            card["ranges"] = {**ranges.data, "n": len(images)}
        write_openvino(entry, model, about)
    return Graph(folder, card)


def _images(paths: Sequence[Path], joint: Joint, max_pixels: int) -> list[dict[str, Any]]:
    """The readable ones as inputs of the graph, in batches of one."""
    images = Images(paths, joint, max_pixels)
    tensors = [tensor for _, tensor in (images[Draw(row)] for row in range(len(paths))) if not isinstance(tensor, str)]
    if not tensors:
        raise UserError(f"none of the {len(paths)} images for the ranges of int8 can be read, such as {paths[0]}")
    return [_as_inputs(joint, tensor) for tensor in tensors]


def _as_inputs(joint: Joint, tensor: torch.Tensor) -> dict[str, Any]:
    return {INPUT.format(number): form.numpy() for number, form in enumerate(joint.parts(tensor[None]))}


def _versions(format: str, precision: str) -> dict[str, str]:
    """Of the tools that made the graph."""
    import onnx
    import onnxscript

    found = {**versions(), "onnx": onnx.__version__, "onnxscript": onnxscript.__version__}
    if format == "openvino":
        found["openvino"] = import_openvino().__version__.split("-")[0]  # behind it stands the build
    if precision == "int8":
        found["nncf"] = import_nncf().__version__
    return found
