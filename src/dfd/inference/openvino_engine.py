"""The networks of a bundle in OpenVINO."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from dfd.errors import UserError
from dfd.inference.graph import VALUES, Graph
from dfd.inference.graph_engine import GraphEngine
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime

# int8 is in the graph itself; what it leaves out of it runs in fp32. Without a word, OpenVINO would choose bf16.
ARITHMETIC = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoEngine(GraphEngine):
    """A graph of OpenVINO on the CPU, in the precision that it was exported for."""

    backend = "openvino"

    def __init__(self, bundle: Bundle, graph: Graph, runtime: Runtime) -> None:
        super().__init__(bundle, graph, runtime)
        if runtime.device.type != "cpu":
            raise UserError(
                f"backend=openvino runs on the CPU, and the device is {runtime.device.type}: choose "
                "runtime.device=cpu, or use backend=torch"
            )
        openvino = import_openvino()
        core = openvino.Core()
        wanted = ARITHMETIC[graph.precision]
        try:
            model = core.read_model(graph.entry)
            self._compiled = core.compile_model(model, "CPU", _settings(wanted, self.threads))
        except RuntimeError as error:
            raise UserError(
                f"{graph.entry} can't be opened by OpenVINO {openvino.__version__}: {_reason(error)}; export again "
                "with this version"
            ) from None
        shapes = {one.get_any_name(): _sides(one) for one in self._compiled.outputs}
        self.check_form([one.get_any_name() for one in self._compiled.inputs], shapes.get(VALUES))
        _check_arithmetic(graph, wanted, self._compiled)
        self._request = self._compiled.create_infer_request()

    def run(self, images: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `GraphEngine`."""
        # Shared: no copy on the way in. The way out is copied, as the request writes over its own memory.
        answers = self._request.infer(images, share_inputs=True, share_outputs=False)
        return {name: answers[self._compiled.output(name)] for name in names}


def import_openvino() -> ModuleType:
    """The package. Raises UserError where it is missing."""
    try:
        import openvino
    except ImportError:
        raise UserError("OpenVINO is not installed; run pip install openvino") from None
    return openvino


def _settings(arithmetic: str, threads: int) -> dict[str, Any]:
    # One request at a time: all threads work on one batch.
    return {
        "INFERENCE_PRECISION_HINT": arithmetic,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }


def _sides(port: Any) -> list[int | None]:
    """The shape of an output; None where it is not fixed."""
    return [each.get_length() if each.is_static else None for each in port.partial_shape]


def _check_arithmetic(graph: Graph, wanted: str, compiled: Any) -> None:
    """OpenVINO takes another precision without a word where the CPU lacks the one asked for."""
    found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if found != wanted:
        raise UserError(
            f"{graph.folder} computes in {graph.precision}, which this CPU can't ({found} instead); export with "
            "precision=fp32, or use backend=torch"
        )


def _reason(error: Exception) -> str:
    """The last line; OpenVINO begins with the place in its own code."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
