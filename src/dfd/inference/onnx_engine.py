"""The networks of a bundle in ONNX Runtime."""

from collections.abc import Sequence

import numpy as np

from dfd.errors import UserError
from dfd.inference.graph import VALUES, Graph
from dfd.inference.graph_engine import GraphEngine
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime


class OnnxEngine(GraphEngine):
    """An ONNX graph on the runtime's device, in fp32."""

    backend = "onnxruntime"

    def __init__(self, bundle: Bundle, graph: Graph, runtime: Runtime) -> None:
        super().__init__(bundle, graph, runtime)
        import onnxruntime

        self._device = runtime.device.type
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3  # errors; warnings are about operators that it places on the CPU
        # Threads that wait in a loop would take the cores from the processes that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(graph.entry), options, providers=_providers(self._device))
        except UserError:
            raise
        except Exception as error:  # of a dozen types, none of which is public
            raise UserError(
                f"{graph.entry} can't be opened by ONNX Runtime {onnxruntime.__version__}: "
                f"{str(error).splitlines()[0]}; export again with this version"
            ) from None
        shapes = {one.name: one.shape for one in self._session.get_outputs()}
        self.check_form([one.name for one in self._session.get_inputs()], shapes.get(VALUES))

    def run(self, images: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `GraphEngine`."""
        return dict(zip(names, self._session.run(list(names), images), strict=True))

    def where(self) -> str:
        """See `GraphEngine`."""
        return "cuda" if self._device == "cuda" else super().where()


def _providers(device: str) -> list[tuple[str, dict[str, str]]]:
    import onnxruntime

    if device == "cpu":
        return [("CPUExecutionProvider", {})]
    if device != "cuda" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UserError(
            f"backend=onnxruntime has no {device} here: pip install onnxruntime-gpu for one with cuda, choose "
            "runtime.device=cpu, or use backend=torch"
        )
    # TF32 would leave the tolerance that the export was held to.
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})]
