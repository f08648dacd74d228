"""Which task trains a detector."""

from dfd.config import TrainConfig
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training.detector_task import DetectorTask
from dfd.training.logistic_task import LogisticTask
from dfd.training.splits import Split


def task_of(
    config: TrainConfig, detector: Detector, train: Split, val: Split, runtime: Runtime
) -> DetectorTask | LogisticTask:
    """The task of `trainer.solver`. Raises UserError if the settings don't go together."""
    task = LogisticTask if config.trainer.solver == "logistic" else DetectorTask
    return task(config, detector, train, val, runtime)
