"""What a bundle is: one network, or several bundles and how they are combined."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import torch

from dfd import __version__
from dfd.config import ModelConfig
from dfd.data.transforms import Preprocessing
from dfd.ensemble.combiners import Combiner
from dfd.evaluation.calibration import Calibration
from dfd.models.detector import Detector

_SEEN_DIGITS = 16  # of an image's sha256: enough to tell 10 million images apart, at 17 bytes each


@dataclass(frozen=True, kw_only=True)
class Bundle(ABC):
    """What every bundle has: how its logit is read, and where it comes from.

    `data`: name and fingerprint of the manifest it was trained on (an ensemble of members from different data: of the
    one that it was fitted on), its numbers of images, the number of `folds` if it
    was cross-validated, and `fitted_on`, the split that its weights were fitted on, if that is not train. `training`:
    seconds, steps and so on. `metrics`: figures on validation or out-of-fold at the end of training. `seen`: the first
    digits of the sha256 of each image that it was trained or tuned on. `sha256`: names the weights of a network, and
    the files and members of an ensemble; empty until it is saved.
    """

    kind: ClassVar[str]
    name: str
    calibration: Calibration
    max_pixels: int
    data: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    config: str
    seen: frozenset[str]
    versions: dict[str, str]
    sha256: str = ""

    def has_seen(self, sha256: "pd.Series[str]") -> "pd.Series[bool]":
        """Which images it was trained or tuned on, by their sha256."""
        seen = self.seen  # pandas' isin would build an array of them all for each call
        return sha256.map(lambda digits: digits[:_SEEN_DIGITS] in seen).astype(bool)

    @property
    @abstractmethod
    def detectors(self) -> list[Detector]:
        """All networks in it."""

    @property
    @abstractmethod
    def fitted_on_val(self) -> bool:
        """Whether weights were fitted on the val split, which is then no split to measure on or to fit on again."""

    @property
    def cpu_bf16(self) -> bool | None:
        """Whether bf16 pays on CPUs with bf16 matrix units; None: for some of its networks."""
        each = {detector.cpu_bf16 for detector in self.detectors}
        return each.pop() if len(each) == 1 else None


@dataclass(frozen=True, kw_only=True)
class DetectorBundle(Bundle):
    """One network."""

    kind = "detector"
    model: ModelConfig
    detector: Detector

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input."""
        return self.detector.preprocessing

    @property
    def fitted_on_val(self) -> bool:
        """As the bundle says of itself; a GAN's discriminator has a head that was."""
        return self.data.get("fitted_on") == "val"

    @property
    def detectors(self) -> list[Detector]:
        """Itself."""
        return [self.detector]


@dataclass(frozen=True, kw_only=True)
class EnsembleBundle(Bundle):
    """Several bundles and how they are combined."""

    kind = "ensemble"
    members: tuple[Bundle, ...]
    combiner: Combiner

    @property
    def fitted_on_val(self) -> bool:
        """Where there are no folds, that is where it learnt how much each member counts."""
        return not self.data.get("folds")

    @property
    def detectors(self) -> list[Detector]:
        """Those of all members, in their order."""
        return [detector for member in self.members for detector in member.detectors]


def seen_in(table: pd.DataFrame) -> frozenset[str]:
    """What `Bundle.seen` holds for the rows of a manifest."""
    return frozenset(table["sha256"].str[:_SEEN_DIGITS])


def versions() -> dict[str, str]:
    """Versions of the code that makes a bundle."""
    import sklearn
    import timm

    return {
        "dfd": __version__,
        "torch": str(torch.__version__),
        "timm": timm.__version__,
        "scikit-learn": sklearn.__version__,
    }
