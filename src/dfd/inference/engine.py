"""An engine runs all networks of a bundle on prepared inputs: with PyTorch here, with exported graphs elsewhere.

What the networks say is combined and calibrated by the same code for every engine, so engines differ in digits alone.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from dfd.data.transforms import Joint
from dfd.ensemble.crossfit import outputs_of
from dfd.inference.forward import in_precision
from dfd.models.bundle import Bundle, DetectorBundle, EnsembleBundle
from dfd.models.detector import Detector
from dfd.runtime import Runtime


@dataclass(frozen=True)
class Part:
    """What one network says: logits [n] and, if asked for, features [n, F]."""

    logits: np.ndarray
    features: np.ndarray | None

    def rows(self, which: np.ndarray) -> "Part":
        """Those of some rows."""
        return Part(self.logits[which], None if self.features is None else self.features[which])


class Engine(ABC):
    """The networks of `bundle` as one function: a batch of inputs to one row of numbers an image.

    `joint` makes the inputs. A row holds for each network its logit and, where the bundle's combiner reads them, its
    features: `width` numbers in all.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.joint = Joint(tuple(dict.fromkeys(detector.preprocessing for detector in bundle.detectors)))
        self.wanted = needs_features(bundle)
        self._widths = [1 + one.width * want for one, want in zip(bundle.detectors, self.wanted, strict=True)]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(self._widths)

    @abstractmethod
    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """uint8 inputs of n images, on the engine's device, as `joint` makes them, to float32 [n, width]."""

    @abstractmethod
    def describe(self) -> str:
        """Backend, device and precision, such as 'torch, cpu (2 threads), fp32'."""

    def parts(self, values: np.ndarray) -> list[Part]:
        """Rows [n, width] as what each network says."""
        starts = np.cumsum([0, *self._widths[:-1]])
        return [
            Part(values[:, start], values[:, start + 1 : start + width] if width > 1 else None)
            for start, width in zip(starts, self._widths, strict=True)
        ]

    def logits(self, values: np.ndarray) -> np.ndarray:
        """The bundle's logits float64 [n] of rows [n, width]."""
        return combine(self.bundle, self.parts(values))

    def member_logits(self, values: np.ndarray) -> np.ndarray:
        """The members' logits float64 [n, M] of rows [n, width]; of a single network its own, M = 1."""
        return np.stack([combine(*each) for each in member_parts(self.bundle, self.parts(values))], axis=1)


class TorchEngine(Engine):
    """The networks as they are, on the runtime's device, each in its own precision."""

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        super().__init__(bundle)
        self._runtime = runtime
        place(bundle, runtime)
        self._features = [in_precision(one, one.features, runtime) for one in bundle.detectors]

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """See `Engine`."""
        forms = dict(zip(self.joint.each, self._laid_out(self.joint.parts(inputs)), strict=True))
        columns = []
        for detector, function, want in zip(self.bundle.detectors, self._features, self.wanted, strict=True):
            features = function(forms[detector.preprocessing])
            columns.append(detector.classify(features)[:, None].float())
            if want:
                columns.append(features.float())
        return torch.cat(columns, dim=1)

    def describe(self) -> str:
        """See `Engine`."""
        return f"torch, {self._runtime.describe()}"

    def _laid_out(self, forms: list[torch.Tensor]) -> list[torch.Tensor]:
        if len(forms) == 1 or not self._runtime.channels_last:
            return forms
        return [form.contiguous(memory_format=torch.channels_last) for form in forms]


def place(bundle: Bundle, runtime: Runtime) -> None:
    """Move the bundle's networks to the runtime's device."""
    for detector in bundle.detectors:
        runtime.place(detector)


def combine(bundle: Bundle, parts: list[Part]) -> np.ndarray:
    """The bundle's logits float64 [n] from what its networks say, in the order of `bundle.detectors`."""
    if isinstance(bundle, DetectorBundle):
        return parts[0].logits.astype(np.float64)
    assert isinstance(bundle, EnsembleBundle)
    each = member_parts(bundle, parts)
    together = np.stack([combine(member, own) for member, own in each], axis=1)
    features = [
        np.stack([part.features for part in own if part.features is not None], axis=1)
        for _, own in each
        if bundle.combiner.needs_features
    ]
    finite = np.isfinite(together).all(axis=1)
    scores = np.full(len(together), np.nan)  # a network whose output is no number leaves no number
    outputs = outputs_of(together, [member.calibration for member in bundle.members], tuple(features) or None)
    if finite.any():
        scores[finite] = bundle.combiner.score(outputs.rows(finite))
    return scores


def member_parts(bundle: Bundle, parts: list[Part]) -> list[tuple[Bundle, list[Part]]]:
    """The members of an ensemble, each with what its networks say; a single network is its own member."""
    if not isinstance(bundle, EnsembleBundle):
        return [(bundle, parts)]
    counts = np.cumsum([0, *(len(member.detectors) for member in bundle.members)])
    return [(member, parts[start:end]) for member, start, end in zip(bundle.members, counts, counts[1:], strict=False)]


def needs_features(bundle: Bundle) -> list[bool]:
    """For each network of the bundle, whether the bundle reads its features."""
    if not isinstance(bundle, EnsembleBundle):
        return [False] * len(bundle.detectors)
    if bundle.combiner.needs_features:
        return [True] * len(bundle.detectors)
    return [wanted for member in bundle.members for wanted in needs_features(member)]


def detectors_of(bundle: Bundle) -> list[tuple[str, Detector]]:
    """All networks of a bundle with names that tell them apart: the member's, and a fold's number if it has several."""
    if isinstance(bundle, EnsembleBundle):
        return [
            (member.name if len(own) == 1 else f"{member.name}/{number}", detector)
            for member in bundle.members
            for own in [detectors_of(member)]
            for number, (_, detector) in enumerate(own)
        ]
    return [(bundle.name, detector) for detector in bundle.detectors]
