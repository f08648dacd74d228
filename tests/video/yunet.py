"""A network with the inputs and outputs of YuNet that takes bright spots for faces, to try OpenCV's detector with."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
SPOT = 4  # side of what it finds, in cells of 8 pixels


def write_spot_finder(path: Path) -> Path:
    """In each bright cell of 8 x 8 pixels: a face of 32 x 32 pixels around its corner. Coarser cells: none."""
    nodes, outputs, constants = [], [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def output(name: str, value: str, width: int) -> None:
        shape = constant(f"shape_{name}", np.array([1, -1, width], np.int64))
        nodes.append(helper.make_node("Reshape", [value, shape], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, width]))

    for stride in STRIDES:
        bright = np.full((1, 3, stride, stride), (1 if stride == 8 else 0) / (255 * 3 * stride**2), np.float32)
        weights = constant(f"bright_{stride}", bright)
        nodes.append(helper.make_node("Conv", ["input", weights], [f"cls_map_{stride}"], strides=[stride, stride]))
        for name, values in (
            ("cls", [1.0]),
            ("obj", [1.0]),
            ("bbox", [0.0, 0.0, np.log(SPOT), np.log(SPOT)]),
            ("kps", [0.0] * 10),
        ):
            if name in ("cls", "obj"):
                output(f"{name}_{stride}", f"cls_map_{stride}", 1)
                continue
            scale = constant(f"zero_{name}_{stride}", np.zeros((len(values), 3, stride, stride), np.float32))
            bias = constant(f"bias_{name}_{stride}", np.array(values, np.float32))
            nodes.append(
                helper.make_node("Conv", ["input", scale, bias], [f"map_{name}_{stride}"], strides=[stride, stride])
            )
            nodes.append(
                helper.make_node("Transpose", [f"map_{name}_{stride}"], [f"last_{name}_{stride}"], perm=[0, 2, 3, 1])
            )
            output(f"{name}_{stride}", f"last_{name}_{stride}", len(values))
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])],
        outputs,
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
