"""Features of several blocks of a vision transformer, not of its last alone.

What gives a forgery away is in the middle blocks as much as in the last, whose class token was trained to forget what
does not change the meaning of a picture (Koutlis and Papadopoulos 2024, 'Leveraging representations from intermediate
encoder-blocks for synthetic image detection'). A splice is local, so each block gives three views of its tokens: the
class token, and mean and deviation of the patches'.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

VIEWS = 3  # class token, mean and deviation of the patch tokens


class TokenFeatures(nn.Module):
    """A timm vision transformer as a backbone whose features [N, len(layers) * 3 * D] are those of some of its blocks.

    `layers`: the blocks' numbers, 1 for the first, rising. Blocks after the last of them are dropped from `vit`.
    """

    def __init__(self, vit: Any, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.vit = vit
        self.vit.prune_intermediate_layers(self._places(), prune_norm=True, prune_head=True)
        self.num_features = len(self.layers) * VIEWS * vit.embed_dim
        self.pretrained_cfg = vit.pretrained_cfg

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images [N, 3, H, W] to features [N, num_features], block by block."""
        blocks = self.vit.forward_intermediates(
            images, self._places(), return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True
        )
        return torch.cat([_views(patches.float(), prefix.float()) for patches, prefix in blocks], dim=1)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which block a parameter belongs to, for timm's decay of the learning rate by layer."""
        return {"stem": r"^vit\.(?:cls_token|pos_embed|patch_embed|norm_pre)", "blocks": r"^vit\.blocks\.(\d+)"}

    def extra_repr(self) -> str:
        """What tells it from the same transformer with other blocks."""
        return f"layers={self.layers}"

    def _places(self) -> list[int]:
        return [layer - 1 for layer in self.layers]


def transformer_of(backbone: nn.Module) -> Any:
    """timm's network itself, also where the tokens of some of its blocks are the features."""
    return backbone.vit if isinstance(backbone, TokenFeatures) else backbone


def _views(patches: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
    """[N, P, D] and [N, T, D] to [N, 3 D]."""
    return torch.cat([prefix[:, 0], patches.mean(dim=1), patches.std(dim=1)], dim=1)
