"""Small pieces that many tests need: a tiny network's settings, a folder of two-class images."""

from pathlib import Path

import numpy as np
from PIL import Image

from dfd.config import AugmentConfig, DataConfig, ModelConfig, RuntimeConfig, TrainConfig, TrainerConfig
from dfd.data.transforms import Preprocessing

SIZE = 32


def tiny_model(**settings: object) -> ModelConfig:
    """A residual network of 0.2 million weights."""
    values = {"name": "tiny", "backbone": "test_resnet.r160_in1k", "pretrained": False, "input_size": SIZE}
    return ModelConfig(**{**values, **settings})


def tiny_preprocessing(**settings: object) -> Preprocessing:
    values = {"size": SIZE, "fit": "resize", "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return Preprocessing(**{**values, **settings})


def tiny_train(**trainer: object) -> TrainConfig:
    return TrainConfig(
        name="tiny",
        data=DataConfig(name="tiny"),
        model=tiny_model(),
        augment=AugmentConfig(name="none"),
        trainer=TrainerConfig(**{"epochs": 2, "batch_size": 8, **trainer}),
        runtime=RuntimeConfig(device="cpu", precision="fp32", workers=0),
    )


def pixels(rng: np.random.Generator, fake: bool, size: int = 40) -> np.ndarray:
    """Noise; the fakes have a grid over it, which any network finds at once. uint8 [size, size, 3]."""
    image = rng.integers(60, 190, (size, size, 3))
    if fake:
        image[::4] += 50
    return image.astype(np.uint8)


def two_class_folder(root: Path, each: int = 20, seed: int = 0) -> Path:
    """`real/` and `fake/` with `each` PNG images."""
    rng = np.random.default_rng(seed)
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(pixels(rng, label == "fake")).save(root / label / f"{number:03}.png")
    return root
