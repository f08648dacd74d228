"""A bundle's networks as OpenVINO's files, from their ONNX file; int8 by post-training quantisation.

nncf.quantize takes the ranges of activations from images that the bundle was trained or tuned on (Krishnamoorthi 2018,
arXiv:1806.08342, for the method; Xiao et al. 2023, arXiv:2211.10438, for the smoothing that transformers need).
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dfd.errors import UserError
from dfd.export.description import Description
from dfd.export.onnx_file import TAIL
from dfd.inference.openvino_engine import import_openvino

ATTENTION = "Softmax"  # what a transformer has in its blocks and a convolutional network has not
Images = dict[str, np.ndarray]  # uint8 [1, 3, size, size] by the names of the graph's inputs


def convert(onnx_path: Path) -> Any:
    """OpenVINO's model of an ONNX file."""
    return import_openvino().Core().read_model(onnx_path)


def quantised(model: Any, images: Sequence[Images]) -> Any:
    """The model in int8, the ranges taken from `images`.

    Weights are symmetric and activations are not, as those behind swish and GELU are skewed. See `_kept` for what
    stays in fp32.
    """
    nncf = import_nncf()
    transformer = any(ATTENTION in op.get_type_name() for op in model.get_ops())
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(images),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=_kept(model), validate=False),
        )


def write_openvino(path: Path, model: Any, about: Description) -> None:
    """Write model.xml and model.bin, the description in them; weights keep their precision."""
    for key, value in about.to_dict().items():
        model.set_rt_info(value if isinstance(value, str) else json.dumps(value), ["dfd", key])
    import_openvino().save_model(model, path, compress_to_fp16=False)


def import_nncf() -> ModuleType:
    """The package. Raises UserError where it is missing."""
    # On its way it imports a part of PyTorch that logs whether there are tools to compile for CUDA.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        import nncf
    except ImportError:
        raise UserError("precision=int8 needs NNCF; run pip install nncf") from None
    return nncf


def _kept(model: Any) -> list[str]:
    """Names of the operations that stay in fp32: what costs little and loses much.

    Heads and combining, whose errors go into the logit; depthwise convolutions, whose few weights a channel have ranges
    that differ too much (Nagel et al. 2019, arXiv:1906.04721); and the first convolution of each network.
    """
    depthwise, first = [], []
    beyond: set[str] = set()  # convolutions, and what lies behind them
    for op in model.get_ordered_ops():
        name, kind = op.get_friendly_name(), op.get_type_name()
        behind = bool(_sources(op) & beyond)
        if kind == "GroupConvolution":
            depthwise.append(name)
        elif kind == "Convolution" and not behind:
            first.append(name)
        if behind or kind == "Convolution":
            beyond.add(name)
    return [*_tail(model), *depthwise, *first]


def _tail(model: Any) -> list[str]:
    """Names of the operations behind the backbones; some ONNX nodes become several of them, without names."""
    names: list[str] = []
    for op in model.get_ordered_ops():
        if op.get_friendly_name().startswith(TAIL) or not _sources(op).isdisjoint(names):
            names.append(op.get_friendly_name())
    return names


def _sources(op: Any) -> set[str]:
    """Names of the operations whose outputs it reads."""
    return {op.input_value(place).get_node().get_friendly_name() for place in range(op.get_input_size())}


@contextmanager
def _quiet() -> Iterator[None]:
    """NNCF tells at length what it does, and shows bars of its own."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logger.setLevel(level)
