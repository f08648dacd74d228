"""Low-rank adaptation: a fixed network learns by small additions to its matrices (Hu et al. 2021, 'LoRA').

A large pretrained network whose every weight is trained on some thousand images forgets what makes it general.
Additions of rank r can't change much, and are put into the matrices afterwards: what is kept is a network like any
other.
"""

import math
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from dfd.config import ModelConfig
from dfd.errors import UserError
from dfd.models.detector import Detector
from dfd.models.tokens import transformer_of

STRENGTH = 2.0  # factor on the addition: alpha / r in the paper, with alpha = 2 r


class LowRank(nn.Module):
    """A fixed linear layer with an addition of rank `rank`, which is zero at first."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """[..., in_features] to [..., out_features], in the precision of autocast where it is on."""
        device = inputs.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else inputs.dtype
        bias = None if self.base.bias is None else self.base.bias.to(dtype)
        with torch.autocast(device, enabled=False):
            return _Added.apply(inputs.to(dtype), self.base.weight.to(dtype), bias, self.down, self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The linear layer with the addition in its weight."""
        self.base.weight += (self.up @ self.down * STRENGTH).to(self.base.weight.dtype)
        return self.base.requires_grad_(True)


class _Added(torch.autograd.Function):
    """A fixed linear layer and its addition, summed where the layer's output lies.

    Autograd's own way writes the addition, its multiple and their sum as arrays of that size, and as many for the
    gradient; for rank 8 this takes longer than the products.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
    ) -> torch.Tensor:
        ctx.learnt_in = down.dtype
        rows = inputs.reshape(-1, inputs.shape[-1])
        down, up = down.to(rows.dtype), (up * STRENGTH).to(rows.dtype)
        low = rows @ down.T
        outputs = nn.functional.linear(rows, weight, bias).addmm_(low, up.T)
        ctx.save_for_backward(rows, weight, down, up, low)
        return outputs.view(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, down, up, low = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, gradients[0].shape[-1])
        to_low = gradient @ up
        to_inputs = None
        if ctx.needs_input_grad[0]:
            to_inputs = (gradient @ weight).addmm_(to_low, down).view(*gradients[0].shape[:-1], -1)
        to_down, to_up = to_low.T @ rows, gradient.T @ low
        return to_inputs, None, None, to_down.to(ctx.learnt_in), to_up.to(ctx.learnt_in) * STRENGTH


def adapt(detector: Detector, config: ModelConfig) -> Detector:
    """Fix the backbone but for additions to the matrices of its blocks from number `config.lora_from` on.

    Raises UserError for a backbone that is no vision transformer of the plain kind.
    """
    vit = transformer_of(detector.backbone)
    if not isinstance(vit, VisionTransformer):
        raise UserError(f"model.lora={config.lora}: {config.name} is no plain vision transformer; accepted is 0")
    blocks = list(vit.blocks)
    if config.freeze == "backbone":
        raise UserError(f"model.lora={config.lora} changes the backbone, which model.freeze=backbone fixes; choose one")
    if config.lora_from > len(blocks):
        raise UserError(f"model.lora_from={config.lora_from}: {config.name} has {len(blocks)} blocks to be adapted")
    detector.backbone.requires_grad_(False)
    for block in blocks[config.lora_from - 1 :]:
        for parent, name, layer in _linear_layers(block):
            setattr(parent, name, LowRank(layer, config.lora))
    return detector


def merge(detector: Detector) -> Detector:
    """Put the additions into the matrices; a detector without any is left as it is."""
    found = [
        (parent, name, child)
        for parent in detector.modules()
        for name, child in parent.named_children()
        if isinstance(child, LowRank)
    ]
    for parent, name, child in found:
        setattr(parent, name, child.merged())
    if found:
        detector.backbone.requires_grad_(True)
    return detector


def without_idle(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of a backbone, as it would be without those additions that are still zero."""
    idle = [name.removesuffix("up") for name, value in state.items() if name.endswith(".up") and not value.any()]
    for prefix in idle:
        state = {
            name.replace(f"{prefix}base.", prefix): value
            for name, value in state.items()
            if name not in (f"{prefix}up", f"{prefix}down")
        }
    return state


def _linear_layers(block: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    return [
        (parent, name, child)
        for parent in block.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
