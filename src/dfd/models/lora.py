"""Low-rank adaptation: a fixed network learns by small additions to its matrices (Hu et al. 2021, 'LoRA').

A large pretrained network whose every weight is trained on some thousand images forgets what makes it general.
Additions of rank r can't change much, and are put into the matrices afterwards: what is kept is a network like any
other.

Training fits the additions to the data at hand, whose kinds the network then knows at the expense of others. A share of
them keeps part of both: weights between those before and after ('WiSE-FT', Wortsman et al. 2022).
"""

import math

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from dfd.config import ModelConfig
from dfd.errors import UserError
from dfd.models.detector import Detector
from dfd.models.tokens import transformer_of

STRENGTH = 2.0  # factor on the addition: alpha / r in the paper, with alpha = 2 r


class LowRank(nn.Module):
    """A fixed linear layer with an addition of rank `rank`, which is zero at first.

    Training sees all of the addition; evaluation, and what is kept, `share` of it.
    """

    def __init__(self, base: nn.Linear, rank: int, share: float = 1.0) -> None:
        super().__init__()
        self.share = share
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """[..., in_features] to [..., out_features]."""
        strength = STRENGTH if self.training else STRENGTH * self.share
        return self.base(inputs) + (inputs @ self.down.T @ self.up.T) * strength

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The linear layer with its share of the addition in its weight."""
        self.base.weight += (self.up @ self.down * (STRENGTH * self.share)).to(self.base.weight.dtype)
        return self.base.requires_grad_(True)


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
            setattr(parent, name, LowRank(layer, config.lora, config.lora_share))
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
