"""A whole bundle as one function of pixels: what is exported."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dfd.data.transforms import Joint, Preprocessing
from dfd.export.combining import Combined, Part, Scale, inexpressible
from dfd.inference.engine import needs_features
from dfd.inference.graph import LOGIT, MEMBER_LOGITS, PROB, VALUES
from dfd.models.bundle import Bundle
from dfd.models.detector import Detector, of_any_kind

BELOW_ONE = 1 - 2.0**-24  # the largest float32 below 1


class Head(nn.Module):
    """The detector's head, features [n, F] to logits [n], as product and sum.

    Engines round matrix products to bf16 or int8, and a logit rounded so would be most of what is lost.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.register_buffer("weight", detector.linear.weight.detach().clone())
        self.register_buffer("bias", detector.linear.bias.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        # Unit by unit: of [n, 1, F] times [K, F] OpenVINO adds the wrong unit's bias where n is K.
        units = [(features * weight).sum(dim=1) + bias for weight, bias in zip(self.weight, self.bias, strict=True)]
        return of_any_kind(torch.stack(units, dim=1))


class Exported(nn.Module):
    """Images uint8 [n, 3, S, S], one batch for each of the bundle's preprocessings, to what `outputs` names.

    values         float32 [n, width], as `inference.engine.Engine` gives them
    logit, prob    float32 [n], the bundle's logit and its calibrated probability; not where `left_out` says why
    member_logits  float32 [n, M]
    """

    def __init__(self, bundle: Bundle, joint: Joint) -> None:
        super().__init__()
        self.forms: tuple[Preprocessing, ...] = joint.each
        self.wanted = needs_features(bundle)
        self.places = [joint.each.index(detector.preprocessing) for detector in bundle.detectors]
        self.detectors = bundle.detectors
        self.networks = nn.ModuleList(self.detectors)  # which is how PyTorch sees them
        self.heads = nn.ModuleList(Head(detector) for detector in bundle.detectors)
        self.left_out = inexpressible(bundle)
        self.combined = None if self.left_out else Combined(bundle)
        self.scale = Scale(bundle.calibration)

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns, in its order."""
        return [VALUES] if self.left_out else [VALUES, LOGIT, PROB, MEMBER_LOGITS]

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        parts = self._parts(images)
        columns = [column for logits, features in parts for column in (logits[:, None], features) if column is not None]
        values = torch.cat(columns, dim=1)
        if self.combined is None:
            return (values,)
        logits = self.combined(parts)
        prob = self.scale.prob(logits).float().clamp(max=BELOW_ONE)
        return values, logits.float(), prob, self.combined.member_logits(parts).float()

    def _parts(self, images: Sequence[Tensor]) -> list[Part]:
        parts: list[Part] = []
        for detector, head, place, want in zip(self.detectors, self.heads, self.places, self.wanted, strict=True):
            features = detector.features(images[place]).float()
            parts.append((head(features), features if want else None))
        return parts
