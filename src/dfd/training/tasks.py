"""Which task trains a detector."""

from dfd.config import TrainConfig
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training.detector_task import DetectorTask
from dfd.training.logistic_task import LogisticTask
from dfd.training.splits import Split
from dfd.training.teacher import Teacher


def task_of(
    config: TrainConfig,
    detector: Detector,
    train: Split,
    val: Split,
    runtime: Runtime,
    teacher: Teacher | None = None,
) -> DetectorTask | LogisticTask:
    """The task of `trainer.solver`."""
    if config.trainer.solver == "logistic":
        return LogisticTask(config, detector, train, val, runtime)
    return DetectorTask(config, detector, train, val, runtime, teacher)
