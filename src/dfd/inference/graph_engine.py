"""What the engines that run an exported graph have in common."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from dfd.errors import UserError
from dfd.inference.engine import Engine
from dfd.inference.graph import INPUT, VALUES, Graph, check_fits
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime


class GraphEngine(Engine):
    """A graph in place of the bundle's networks. Raises UserError if it is not that bundle's."""

    backend: str

    def __init__(self, bundle: Bundle, graph: Graph, runtime: Runtime) -> None:
        super().__init__(bundle)
        check_fits(graph, bundle, self.joint)
        self.graph = graph
        self.threads = torch.get_num_threads()

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """See `Engine`; the result lies in the main memory."""
        return torch.from_numpy(self.outputs(inputs, [VALUES])[VALUES])

    def outputs(self, inputs: torch.Tensor, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Some of the graph's outputs, by name, for a batch of inputs as `joint` makes them."""
        forms = self.joint.parts(inputs)
        arrays = {INPUT.format(number): form.cpu().contiguous().numpy() for number, form in enumerate(forms)}
        return self.run(arrays, names)

    @abstractmethod
    def run(self, images: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        """Outputs by name, of images uint8 [n, 3, size, size] by the names of the graph's inputs."""

    def check_form(self, inputs: Sequence[str], values: Sequence[object] | None) -> None:
        """Raise UserError if the file has other inputs, or values of another shape, than its card says."""
        wanted = [INPUT.format(number) for number in range(len(self.joint.each))]
        if list(inputs) != wanted or values is None or len(values) != 2 or values[1] != self.width:
            raise UserError(f"{self.graph.entry} is not the graph that its card describes; export again")

    def describe(self) -> str:
        """See `Engine`."""
        return f"{self.describe_short()}, {self.graph.folder}"

    def describe_short(self) -> str:
        """The same without the folder of the graph."""
        return f"{self.backend}, {self.where()}, {self.graph.precision}"

    def where(self) -> str:
        """The device, such as 'cpu (2 threads)'."""
        return f"cpu ({self.threads} threads)"


def check_precision(graph: Graph, runtime: Runtime) -> None:
    """Raise UserError if another precision than the graph's own was asked for."""
    if runtime.wanted not in ("auto", graph.precision):
        raise UserError(
            f"runtime.precision={runtime.wanted}: {graph.folder} computes in {graph.precision}; leave it out, or use "
            "backend=torch"
        )
