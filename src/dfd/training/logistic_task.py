"""The best linear head over a frozen backbone: logistic regression, for several strengths of its penalty."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils.class_weight import compute_sample_weight

from dfd.config import TrainConfig, TrainerConfig
from dfd.data.dataset import Features
from dfd.errors import UserError
from dfd.inference.forward import compute_logits
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training.checkpoint import check_data
from dfd.training.splits import Split

ITERATIONS = 1000
OF_GRADIENT = (  # settings that a fit doesn't look at
    *("epochs", "batch_size", "accumulate", "optimizer", "lr", "backbone_lr_scale", "layer_decay", "weight_decay"),
    *("momentum", "schedule", "warmup", "clip_grad", "ema", "teacher_share", "label_smoothing", "compile"),
)


def check_logistic(config: TrainConfig) -> None:
    """Raise UserError if logistic regression needs features that are computed once and the settings don't give them, or
    if there is none for settings that are about it.
    """
    if config.trainer.solver != "logistic":
        if config.trainer.nuisances and not config.trainer.head_c:
            raise UserError(
                f"trainer.nuisances={config.trainer.nuisances} is for a head by logistic regression; accepted is 0, "
                "trainer=logistic, or trainer.head_c above 0"
            )
        return
    if config.model.freeze != "backbone":
        raise UserError(
            f"trainer.solver=logistic fits a head on the features of a fixed backbone, and model.freeze="
            f"{config.model.freeze}; accepted is model.freeze=backbone, or trainer.solver=gradient"
        )
    if config.trainer.teacher is not None:
        raise UserError(
            f"trainer.teacher={config.trainer.teacher} has no part in trainer.solver=logistic; accepted is "
            "trainer.solver=gradient"
        )
    if not config.trainer.copies and not config.augment.is_none():
        raise UserError(
            f"trainer.copies=0 leaves nothing to augment={config.augment.name}; accepted is 1 or more, or augment=none"
        )
    if not config.trainer.c:
        raise UserError("trainer.c=[] names no strength; accepted is one number or more")


def without_effect(trainer: TrainerConfig) -> list[str]:
    """The settings that are not at their defaults and that `trainer.solver` has no use for, as they are written.

    They are no mistake: one command may train several models, of which some are fitted.
    """
    idle, defaults = OF_GRADIENT if trainer.solver == "logistic" else ("c",), TrainerConfig()
    changed = [name for name in idle if getattr(trainer, name) != getattr(defaults, name)]
    return [f"trainer.{name}={getattr(trainer, name)}" for name in changed]


class LogisticTask:
    """A step is a whole fit with one value of `trainer.c`. See `dfd.training.loop.Task` for the methods' contracts.

    Features are standardised by the training rows and scaled to a mean squared length of 1, so that a value of c means
    the same for any number of features. The scaling then goes into the head's weights. A head of several units is
    fitted to the kinds of fakes, one unit each, of which there must be as many; see `dfd.training.units`.
    """

    monitor, lower_is_better = "val_loss", True
    period = "fit"
    told: tuple[str, ...] | None = None
    advice = "lower trainer.c"

    def __init__(self, config: TrainConfig, detector: Detector, train: Split, val: Split, runtime: Runtime) -> None:
        assert isinstance(train.data, Features)  # see `check_logistic`
        self._config, self._runtime, self._train, self._val = config, runtime, train, val
        self._target = train.labels if config.model.units == 1 else train.kinds
        self.detector = runtime.place(detector)
        self._rows = train.data.features.numpy()
        self._mean = self._rows.mean(axis=0)
        self._scale = np.float32(np.sqrt(self._rows.shape[1])) * (self._rows.std(axis=0) + np.float32(1e-6))
        self._rows = self._rows - self._mean
        self._rows /= self._scale
        if config.trainer.nuisances:
            self._rows = _without_nuisances(self._rows, train.labels == 0, config.trainer.nuisances)
        self.batch_size, self.steps_per_period = len(train.labels), 1
        self.steps = min(len(config.trainer.c), config.trainer.max_steps or len(config.trainer.c))

    def batches(self, start_step: int) -> Iterator[float]:
        """The values of c."""
        yield from self._config.trainer.c[start_step : self.steps]

    def step(self, batch: float, step: int) -> dict[str, torch.Tensor | float]:
        """One fit."""
        balance = None if self._config.trainer.balance == "none" else "balanced"
        fitted = LogisticRegression(C=batch, max_iter=ITERATIONS)
        fitted.fit(self._rows, self._target, compute_sample_weight(balance, self._train.labels))
        weight, bias = fitted.coef_, fitted.intercept_
        if len(weight) > 1:  # a row for each kind, and one for real: what matters is how they differ from it
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        weight = weight / self._scale
        with torch.no_grad():
            self.detector.linear.weight.copy_(torch.from_numpy(weight))
            self.detector.linear.bias.copy_(torch.from_numpy(bias - weight @ self._mean))
        return {"loss": float(log_loss(self._train.labels, 1 - fitted.predict_proba(self._rows)[:, 0])), "c": batch}

    def validate(self) -> dict[str, float]:
        """Loss and AUROC on the validation split."""
        logits, errors = compute_logits(
            self.detector, self._val.data, self._config.evaluation.batch_size, self._runtime
        )
        self._val.fail_on(errors)
        return {
            "val_loss": float(log_loss(self._val.labels, expit(logits.astype(np.float64)))),
            "val_auroc": float(roc_auc_score(self._val.labels, logits)),
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The head's state."""
        return self.detector.head.state_dict()

    def trained_weights(self) -> dict[str, torch.Tensor]:
        """The head's state."""
        return self.weights()

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put what `weights` gave into the detector."""
        self.detector.head.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """The data that the fits so far were made on: each fit begins anew."""
        return {"data": self._train.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError if the data are not those that the run began with."""
        check_data(state["data"], self._train.fingerprint)


def _without_nuisances(rows: np.ndarray, real: np.ndarray, share: float) -> np.ndarray:
    """`rows` [N, F] without their parts along the main directions in which real ones differ, which hold `share` of it.

    What photographs differ in is people, scenes, cameras and files; fakes differ from them in these, too, by chance of
    how they were collected. A penalised fit has no weight where the rows hold nothing, so that its head is blind to
    them ('nuisance attribute projection', Solomonoff et al. 2005).
    """
    among = rows[real] - rows[real].mean(axis=0)
    variance, weights = np.linalg.eigh((among @ among.T).astype(np.float64))
    number = 1 + int(np.searchsorted(np.cumsum(variance[::-1]), share * variance.sum()))
    directions, _ = np.linalg.qr(among.T @ weights[:, -number:].astype(np.float32))
    return rows - (rows @ directions) @ directions.T
