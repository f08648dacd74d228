"""What a training step of a detector is."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfd.config import TrainConfig, TrainerConfig
from dfd.data.dataset import Batch, TrainingOrder, loader
from dfd.errors import UserError
from dfd.inference.forward import logits_of, stream_of, to_device
from dfd.models.detector import Detector
from dfd.runtime import Runtime
from dfd.training.checkpoint import check_data
from dfd.training.optim import optimizer_of, set_learning_rate
from dfd.training.splits import Split
from dfd.training.teacher import Teacher, check_teacher


class DetectorTask:
    """Binary cross-entropy on the logit of 'fake', as the labels have it, and a teacher if there is one.

    See `dfd.training.loop.Task` for the methods' contracts.
    """

    monitor, lower_is_better = "val_auroc", False
    period = "epoch"
    told: tuple[str, ...] | None = None
    advice = "lower trainer.lr, or set trainer.clip_grad or runtime.precision=fp32"

    def __init__(
        self,
        config: TrainConfig,
        detector: Detector,
        train: Split,
        val: Split,
        runtime: Runtime,
        teacher: Teacher | None = None,
    ) -> None:
        self._config, self._trainer, self._runtime = config, config.trainer, runtime
        self._train, self._val, self._teacher = train, val, teacher
        self._val_stream = stream_of(val.data, config.evaluation.batch_size, runtime, keep=True)
        self.detector = runtime.place(detector)
        if not config.model.lora:  # which has its own fixed and trained parts
            detector.backbone.requires_grad_(config.model.freeze != "backbone")
        network: nn.Module = _Network(detector)
        if self._trainer.compile:
            network.compile()
        self._network, self._optimizer = runtime.accelerator.prepare(network, optimizer_of(detector, self._trainer))
        self._average = _average(self._trained_part(detector), self._trainer.ema)
        self._measured = self._averaged() if self._average else self.detector
        self._class_weights = _class_weights(train.labels, self._trainer).to(runtime.device)
        self._labels = torch.from_numpy(train.labels).float()
        first = self._order(0, 0)
        self.batch_size, self.steps_per_period = first.batch_size, first.steps_per_epoch
        steps = self._trainer.epochs * first.steps_per_epoch
        self.steps = min(steps, self._trainer.max_steps or steps)

    def batches(self, start_step: int) -> Iterator[list[Batch]]:
        """For each step, the parts of its batch."""
        workers = self._runtime.workers if self._train.is_images else 0
        pin = self._runtime.device.type == "cuda"
        parts = iter(loader(self._train.data, self._order(start_step, self.steps), workers, pin))
        while step := list(islice(parts, self._trainer.accumulate)):
            yield step

    def step(self, batch: list[Batch], step: int) -> dict[str, torch.Tensor | float]:
        """One optimiser step on the summed gradients of the parts."""
        accelerator = self._runtime.accelerator
        rate = set_learning_rate(self._optimizer, self._trainer, step, self.steps)
        self._network.train()
        self._optimizer.zero_grad(set_to_none=True)
        total: torch.Tensor | float = 0.0
        with _attention_written_out(self.detector, self._runtime.device):
            for index, part in enumerate(batch):
                is_last = index == len(batch) - 1
                with nullcontext() if is_last else accelerator.no_sync(self._network):
                    loss = self._loss(part) / len(batch)
                    accelerator.backward(loss)
                total = total + loss.detach()
        if self._trainer.clip_grad > 0:
            accelerator.clip_grad_norm_(self._network.parameters(), self._trainer.clip_grad)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._trained_part(self.detector))
        return {"loss": total, "lr": rate}

    def validate(self) -> dict[str, float]:
        """Loss and AUROC on the validation split, of the moving average if there is one."""
        self._runtime.share_buffers(self._measured)
        logits, errors = logits_of(self._measured, self._val_stream, self._runtime)
        self._val.fail_on(errors)
        if not np.isfinite(logits).all():
            raise UserError(f"the network's output on validation is no longer finite; {self.advice}")
        return {
            "val_loss": float(log_loss(self._val.labels, expit(logits.astype(np.float64)))),
            "val_auroc": float(roc_auc_score(self._val.labels, logits)),
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The trained part of the detector's state, or of its moving average's."""
        return self._learnt(self._measured)

    def trained_weights(self) -> dict[str, torch.Tensor]:
        """The trained part of the detector's state as it is now."""
        return self._learnt(self.detector)

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put what `weights` gave into the detector."""
        self._trained_part(self.detector).load_state_dict(weights, strict=not self._config.model.lora)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; the data and the teacher that the steps so far learnt from."""
        parts = {name: part.state_dict() for name, part in self._stateful().items()}
        told = {"data": self._train.fingerprint, "teacher": self._teacher and self._teacher.bundle.sha256}
        return {**told, "detector": self.trained_weights(), **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises UserError if the data, or the teacher, are not those that the run began with."""
        check_data(state["data"], self._train.fingerprint)
        check_teacher(state.get("teacher"), self._teacher)
        self.load_weights(state["detector"])
        for name, part in self._stateful().items():
            if name in state:  # a run that goes on in fp16 has a scaler that it did not have before
                part.load_state_dict(state[name])

    def _stateful(self) -> dict[str, Any]:
        parts = {
            "optimizer": self._optimizer,
            "average": self._average,
            "scaler": self._runtime.accelerator.scaler,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _trained_part(self, detector: Detector) -> nn.Module:
        """A frozen backbone is as its pretrained weights are: it need not be saved at each checkpoint."""
        return detector.head if self._config.model.freeze == "backbone" else detector

    def _learnt(self, detector: Detector) -> dict[str, torch.Tensor]:
        """The state of the trained part; beside low-rank additions, the fixed matrices need not be saved."""
        state = self._trained_part(detector).state_dict()
        if not self._config.model.lora:
            return state
        fixed = {name for name, parameter in detector.named_parameters() if not parameter.requires_grad}
        return {name: value for name, value in state.items() if name not in fixed}

    def _averaged(self) -> Detector:
        """The detector with the moving average in place of its trained part."""
        assert self._average is not None
        if self._config.model.freeze == "none":
            return self._average.module  # type: ignore[return-value]
        detector = copy(self.detector)
        detector._modules = {**self.detector._modules, "head": self._average.module}
        return detector

    def _loss(self, batch: Batch) -> torch.Tensor:
        self._train.fail_on(batch.errors)
        target = self._labels[batch.rows].to(self._runtime.device, non_blocking=True)
        weight = self._class_weights[target.long()]
        smoothing = self._trainer.label_smoothing
        inputs = to_device(batch, self._runtime)
        logits = self._network(inputs)
        target = target * (1 - smoothing) + smoothing / 2
        if self._teacher is not None:
            target = self._teacher.targets(target, inputs)
        return binary_cross_entropy_with_logits(logits.float(), target, weight)

    def _order(self, start_step: int, steps: int) -> TrainingOrder:
        return TrainingOrder(
            self._train.labels,
            batch_size=self._trainer.batch_size,
            steps=steps,
            seed=self._config.seed,
            balanced=self._trainer.balance == "sampler",
            start_step=start_step,
            accumulate=self._trainer.accumulate,
            rank=self._runtime.rank,
            world=self._runtime.world,
        )


class _Network(nn.Module):
    """The detector as a training step sees it: images, or the features of a frozen backbone."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def train(self, mode: bool = True) -> "_Network":
        """A frozen backbone stays in evaluation mode: its norms' running statistics are frozen as well."""
        super().train(mode)
        if self._is_frozen():
            self.detector.backbone.eval()
        return self

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.ndim == 2:
            return self.detector.classify(inputs)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._is_frozen()):
            features = self.detector.features(inputs)
        return self.detector.classify(features)

    def _is_frozen(self) -> bool:
        return not any(parameter.requires_grad for parameter in self.detector.backbone.parameters())


@contextmanager
def _attention_written_out(detector: Detector, device: torch.device) -> Iterator[None]:
    """Within the block timm's attention multiplies its matrices one by one on CPUs, where torch's fused way back takes
    several times as long (docs/results/training-speed.md). Elsewhere, and out of it, it is as it was.
    """
    fused = [module for module in detector.modules() if getattr(module, "fused_attn", False) and device.type == "cpu"]
    for module in fused:
        module.fused_attn = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True  # type: ignore[assignment]


def _average(part: nn.Module, decay: float) -> AveragedModel | None:
    return AveragedModel(part, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay > 0 else None


def _class_weights(labels: np.ndarray, config: TrainerConfig) -> torch.Tensor:
    """Weight of real and fake in the loss; 'loss' gives both classes the same sum."""
    if config.balance != "loss":
        return torch.ones(2)
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise UserError("trainer.balance=loss: the train split holds one class only")
    return torch.tensor(len(labels) / (2 * counts), dtype=torch.float32)
