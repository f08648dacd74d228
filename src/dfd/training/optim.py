"""Parameter groups, optimiser, and the learning rate as a function of the step."""

import math

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay

from dfd.config import TrainerConfig
from dfd.models.detector import Detector


def optimizer_of(detector: Detector, config: TrainerConfig) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that train; each group carries its `lr_scale`."""
    groups = _scaled(_backbone_groups(detector, config), config.backbone_lr_scale)
    groups += _scaled(param_groups_weight_decay(detector.head, config.weight_decay), 1.0)
    groups = [group for group in groups if group["params"]]
    fused = next(iter(groups[0]["params"])).device.type in ("cuda", "cpu")
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=fused)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainerConfig, step: int, steps: int) -> float:
    """Set every group's rate for `step` of `steps`; returns the head's. A function of the step: nothing to resume."""
    rate = config.lr * schedule(config, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
    return rate


def schedule(config: TrainerConfig, step: int, steps: int) -> float:
    """Factor 0..1 on the learning rate: a linear rise, then a half cosine down to 0, or constant."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _backbone_groups(detector: Detector, config: TrainerConfig) -> list[dict]:
    if not any(parameter.requires_grad for parameter in detector.backbone.parameters()):
        return []
    if config.layer_decay < 1:
        return param_groups_layer_decay(detector.backbone, config.weight_decay, layer_decay=config.layer_decay)
    return param_groups_weight_decay(detector.backbone, config.weight_decay)


def _scaled(groups: list[dict], scale: float) -> list[dict]:
    return [
        {**group, "params": list(group["params"]), "lr_scale": group.get("lr_scale", 1.0) * scale} for group in groups
    ]
