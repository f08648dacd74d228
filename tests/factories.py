"""Small pieces that many tests need: a tiny network's settings, a folder of two-class images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dfd.config import AugmentConfig, DataConfig, ModelConfig, RuntimeConfig, TrainConfig, TrainerConfig
from dfd.data.transforms import Preprocessing
from dfd.ensemble.combiners import Combiner, Mean
from dfd.evaluation.calibration import Calibration
from dfd.models import bundle as bundles
from dfd.models.detector import build

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


def tiny_bundle(name: str = "tiny", seed: int = 0, **preprocessing: object) -> bundles.DetectorBundle:
    """A detector with random weights whose logits spread enough to differ from image to image."""
    torch.manual_seed(seed)
    own = tiny_preprocessing(**preprocessing)
    model = tiny_model(input_size=own.size)
    detector = build(model, own).eval()
    with torch.no_grad():
        detector.linear.weight.mul_(1000)
    return bundles.DetectorBundle(
        name=name,
        model=model,
        detector=detector,
        calibration=Calibration(1.5, 0.1, 0.45, 0.4, 0.5),
        max_pixels=10**6,
        data={"name": "tiny", "fingerprint": "abc", "train": 2, "val": 1},
        training={"seconds": 1.0, "device": "cpu", "weights": "random"},
        metrics={"auroc": 0.5},
        config="data: {}\n",
        seen=frozenset(),
        versions=bundles.versions(),
    )


def tiny_ensemble(combiner: Combiner | None = None) -> bundles.EnsembleBundle:
    """Two detectors that want an image in different forms; their mean probability counts."""
    members = (tiny_bundle("first", 0), tiny_bundle("second", 1, size=48, fit="square", interpolation="bilinear"))
    return bundles.EnsembleBundle(
        name="both",
        members=members,
        combiner=combiner or Mean((0.5, 0.5), "probability"),
        **{key: getattr(members[0], key) for key in ("calibration", "max_pixels", "data", "training", "metrics")},
        **{key: getattr(members[0], key) for key in ("config", "seen", "versions")},
    )


def two_class_folder(root: Path, each: int = 20, seed: int = 0) -> Path:
    """`real/` and `fake/` with `each` PNG images."""
    rng = np.random.default_rng(seed)
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(pixels(rng, label == "fake")).save(root / label / f"{number:03}.png")
    return root
