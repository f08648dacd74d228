from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.config import RuntimeConfig
from dfd.data.dataset import image_tensor
from dfd.inference.engine import Engine
from dfd.runtime import Runtime, start
from tests.factories import pixels


@pytest.fixture
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


def inputs_of(engine: Engine, n: int, seed: int = 0) -> torch.Tensor:
    """Inputs of n random images, half of them with the grid of fakes."""
    rng = np.random.default_rng(seed)
    return torch.stack([image_tensor(engine.joint(pixels(rng, fake=bool(row % 2), size=60))) for row in range(n)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder for a graph."""
    (tmp_path / "graph").mkdir()
    return tmp_path / "graph"
