"""A bundle's networks as an ONNX file.

PyTorch's exporter by `torch.export` is used, since the older one by tracing has no form for the Fourier transform in a
GAN's discriminator, and makes six times as many nodes of TensorFlow's 'same' padding. Both are right on all other
backbones that were tried. Opset 18 is the one that the exporter writes; others are converted from it.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from dfd.export.description import Description
from dfd.export.network import Exported
from dfd.inference.graph import INPUT

OPSET = 18
BACKBONES = "networks."  # where they lie in `Exported`
TAIL = "tail/"  # begins the names of all nodes behind a backbone
LARGEST = 2_000_000_000  # bytes that one protobuf file may hold, less some room for the graph itself
EXAMPLES = 2  # images; one would make the exporter take a batch of one for the rule


def write_onnx(path: Path, network: Exported, about: Description) -> None:
    """Write the network with its description. Weights go into a file beside it where one can't hold them.

    Moves the network to the main memory, its channels first.
    """
    names = [INPUT.format(number) for number in range(len(network.forms))]
    examples = tuple(torch.zeros(EXAMPLES, 3, form.size, form.size, dtype=torch.uint8) for form in network.forms)
    size = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    batch = torch.export.Dim("n", min=1)
    # With the channels last, the exporter would write a pooling's output as indices into a flat array.
    network.eval().cpu().to(memory_format=torch.contiguous_format)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=names,
            output_names=network.outputs,
            dynamic_shapes=(tuple({0: batch} for _ in examples),),
            verbose=False,
        )
    assert program is not None
    _name_parts(program.model)
    program.model.metadata_props.update(
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.to_dict().items()}
    )
    program.save(path, external_data=size > LARGEST)
    onnx.checker.check_model(path, full_check=size <= LARGEST)


def _name_parts(model: Any) -> None:
    """Name what lies behind the backbones, and take out the exporter's notes, which hold paths of this machine."""
    beyond: set[Any] = set()  # backbones, and what lies behind them
    for node in model.graph.all_nodes():
        inside = BACKBONES in node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        behind = any(value is not None and value.producer() in beyond for value in node.inputs)
        if inside or behind:
            beyond.add(node)
        if behind and not inside:
            node.name = f"{TAIL}{node.name}"
        for part in (node, *node.outputs):
            part.metadata_props.clear()
            part.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own code's future."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
