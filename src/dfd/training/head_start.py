"""A head that is good from the first step on, so that a pretrained backbone is not shaken by a random one."""

from dataclasses import replace

import pandas as pd

from dfd.config import AugmentConfig, TrainConfig
from dfd.data.manifest import Manifest
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training.logistic_task import LogisticTask
from dfd.training.splits import load_split


def start_head(
    config: TrainConfig, rows: pd.DataFrame, manifest: Manifest, detector: Detector, runtime: Runtime
) -> None:
    """With `trainer.head_c`, put the logistic regression on the unchanged training images into the detector's head."""
    if config.trainer.solver == "logistic" or not config.trainer.head_c:
        return
    plain = replace(config, augment=AugmentConfig(name="none"), model=replace(config.model, freeze="backbone"))
    split = load_split("train", rows, plain, manifest, detector, runtime)
    LogisticTask(plain, detector, split, split, runtime).step(config.trainer.head_c, 0)
