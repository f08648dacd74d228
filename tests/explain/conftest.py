"""A detector that looks at fine detail in one corner alone, so that every map has a right answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dfd.config import RuntimeConfig
from dfd.models.bundle import DetectorBundle
from dfd.models.detector import Detector
from dfd.runtime import Runtime, start
from tests.factories import tiny_bundle, tiny_preprocessing

SIDE = 64


class Corner(nn.Module):
    """Feature: how much neighbouring pixels differ in the upper left quarter. [n, 3, S, S] to [n, 1]"""

    num_features = 1

    def __init__(self) -> None:
        super().__init__()
        self.blocks_of_four = nn.AvgPool2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        detail = (images[..., 1:] - images[..., :-1]).abs().mean(dim=1, keepdim=True)
        corner = torch.zeros_like(detail)
        corner[..., : SIDE // 2, : SIDE // 2] = 1
        return self.blocks_of_four(detail * corner).mean(dim=(1, 2, 3))[:, None]


def corner_bundle(sign: float = 1.0, name: str = "corner") -> DetectorBundle:
    """Detail in the corner speaks for 'fake', or with `sign` -1 for 'real'."""
    made = tiny_bundle(name)
    preprocessing = tiny_preprocessing(size=SIDE)
    detector = Detector(Corner(), preprocessing, made.model)
    with torch.no_grad():
        detector.linear.weight.fill_(30 * sign)
    return replace(made, detector=detector.eval())


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


@pytest.fixture
def noise() -> np.ndarray:
    """Fine detail all over, uint8 [64, 64, 3]."""
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
