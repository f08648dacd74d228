"""Class activation maps: what the last feature maps of a network say for 'fake', place by place.

Grad-CAM (Selvaraju et al. 2017) weighs each feature map with the mean gradient of the logit; Grad-CAM++ (Chattopadhay
et al. 2018) with a mean that counts pixels by how much they raise it. The formulas are those of the package grad-cam.
Both papers cut off what is negative. It is kept here: with one logit for two classes, what speaks against 'fake'
speaks for 'real'. Of Grad-CAM++, whose weights know no minus, the map for 'real' is taken off the map for 'fake'.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dfd.errors import UserError
from dfd.explain.geometry import resized
from dfd.explain.network import Subject
from dfd.gan.discriminator import Trunk
from dfd.models.tokens import TokenFeatures, transformer_of

LAYERS_AFTER = 3  # layers with weights whose outputs lie in no plane any more; a classifier needs no more


def gradcam(subject: Subject) -> np.ndarray:
    """The signed Grad-CAM map, float32 [S, S]. Raises UserError for a network without feature maps."""
    from pytorch_grad_cam import GradCAM

    cam = GradCAM(subject.detector, [])
    return _summed(subject, lambda maps, slopes: _image(cam, maps, slopes))


def gradcampp(subject: Subject) -> np.ndarray:
    """Grad-CAM++ for 'fake' less that for 'real', float32 [S, S]. Raises UserError as `gradcam` does."""
    from pytorch_grad_cam import GradCAMPlusPlus

    cam = GradCAMPlusPlus(subject.detector, [])

    def apart(maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        return np.maximum(_image(cam, maps, slopes), 0) - np.maximum(_image(cam, maps, -slopes), 0)

    return _summed(subject, apart)


def _image(cam: Any, maps: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    return cam.get_cam_image(None, None, None, maps, slopes)[0]


def _summed(subject: Subject, map_of: Any) -> np.ndarray:
    """`map_of` (feature maps [1, C, h, w], their gradients) at the input's size, summed over the layers looked at."""
    inputs = subject.inputs().requires_grad_()  # so that a frozen network has gradients too
    with _recording(subject.detector.backbone, subject.name) as record:
        logit = subject.logits(inputs).sum()
    layers = record.layers()
    slopes = torch.autograd.grad(logit, layers)
    total = np.zeros((subject.side, subject.side), np.float32)
    for layer, slope in zip(layers, slopes, strict=True):
        total += resized(map_of(record.grid(layer), record.grid(slope)), subject.side, subject.side)
    return total


@dataclass
class _Record:
    """The outputs of the layers that are looked at, as a forward pass goes by."""

    backbone: Any
    name: str
    thread: int = field(default_factory=threading.get_ident)
    outputs: dict[nn.Module, torch.Tensor] = field(default_factory=dict)
    last: torch.Tensor | None = None
    layers_after: int = 0

    def keep(self, module: nn.Module, _: Any, output: Any) -> None:
        """A hook on a chosen layer."""
        if threading.get_ident() == self.thread:  # the same network may be at work in another thread
            self.outputs[module] = output

    def follow(self, module: nn.Module, _: Any, output: Any) -> None:
        """A hook on every layer, where the last feature map is not known beforehand.

        Maps of a single place, which small inputs come to, can show nothing: the last larger one counts.
        """
        if threading.get_ident() != self.thread or not isinstance(output, torch.Tensor):
            return
        if output.ndim == 4:
            if self.last is None or min(self.channels_first(output).shape[2:]) > 1:
                self.last = output
            self.layers_after = 0
        elif any(True for _ in module.parameters(recurse=False)):
            self.layers_after += 1

    def layers(self) -> list[torch.Tensor]:
        """What was looked at. Raises UserError if there is nothing that lies in a plane."""
        if self.outputs:
            return list(self.outputs.values())
        if self.last is None or self.layers_after > LAYERS_AFTER:
            raise UserError(
                f"{self.name} has no feature map near its end that class activation maps could show; accepted are "
                "method=shap, lime, occlusion and integrated_gradients"
            )
        return [self.last]

    def grid(self, values: torch.Tensor) -> np.ndarray:
        """Feature maps or their gradients as float32 [1, C, h, w]; a transformer's patches go back to their places."""
        values = values.detach().float()
        if values.ndim == 3:
            height, width = self.backbone.patch_embed.grid_size
            patches = values[:, self.backbone.num_prefix_tokens :]
            values = patches.transpose(1, 2).unflatten(2, (height, width))
        return self.channels_first(values).cpu().numpy()

    def channels_first(self, values: torch.Tensor) -> torch.Tensor:
        """Some transformers of timm keep channels last."""
        return values.permute(0, 3, 1, 2) if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC" else values


@contextmanager
def _recording(backbone: Any, name: str) -> Iterator[_Record]:
    """Record a forward pass within the block; no hook stays behind."""
    record = _Record(transformer_of(backbone), name)
    chosen = _chosen(backbone)
    hooks = [module.register_forward_hook(record.keep) for module in chosen]
    if not chosen:
        hooks = [module.register_forward_hook(record.follow) for module in backbone.modules() if module is not backbone]
    try:
        yield record
    finally:
        for hook in hooks:
            hook.remove()


def _chosen(backbone: Any) -> list[nn.Module]:
    """The layers of a network whose structure is known; none: the last feature map is taken.

    Of a vision transformer, what the last block's attention reads: of what it writes, only the class token counts.
    Where all tokens of some blocks count, what these write.
    """
    if isinstance(backbone, TokenFeatures):
        return [backbone.vit.blocks[layer - 1] for layer in backbone.layers]
    if isinstance(backbone, Trunk):
        return [branch.pyramid for branch in backbone.branches.values()]  # type: ignore[misc]
    if hasattr(backbone, "blocks") and hasattr(backbone, "num_prefix_tokens") and hasattr(backbone, "patch_embed"):
        return [backbone.blocks[-1].norm1]
    return []
