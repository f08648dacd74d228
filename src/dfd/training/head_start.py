"""A head that is good from the first step on, so that a pretrained backbone is not shaken by a random one."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from dfd.config import AugmentConfig, TrainConfig
from dfd.data.manifest import Manifest
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training import checkpoint
from dfd.training.logistic_task import LogisticTask
from dfd.training.splits import load_split


def start_head(
    config: TrainConfig, rows: pd.DataFrame, manifest: Manifest, detector: Detector, runtime: Runtime, run: Path
) -> None:
    """With `trainer.head_c`, put the head that `trainer=logistic` gives into the detector.

    It is fitted to the training images, and to `trainer.copies` changed copies of each; spliced fakes have no part in a
    head of several units, which are fitted to sources of fakes. A run that goes on has its head, as far as it has come,
    in its checkpoint.
    """
    if config.trainer.solver == "logistic" or not config.trainer.head_c:
        return
    if runtime.broadcast(checkpoint.has_state(run)):
        return
    augment = config.augment if config.trainer.copies else AugmentConfig(name="none")
    if config.model.units > 1:
        augment = replace(augment, splices=0.0)
    fitting = replace(
        config,
        augment=augment,
        model=replace(config.model, freeze="backbone"),
        trainer=replace(config.trainer, solver="logistic"),
    )
    split = load_split("train", rows, fitting, manifest, detector, runtime)
    LogisticTask(fitting, detector, split, split, runtime).step(config.trainer.head_c, 0)
