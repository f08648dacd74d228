"""Scores of a manifest's rows from cached features: a network runs only on what the cache does not hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfd.data.manifest import Manifest
from dfd.inference.cache import features_of
from dfd.inference.engine import Part
from dfd.inference.score import Errors
from dfd.models.bundle import Bundle
from dfd.models.detector import Detector
from dfd.runtime import Runtime


def cached_parts(
    bundle: Bundle, rows: pd.DataFrame, manifest: Manifest, data_root: Path, batch_size: int, runtime: Runtime
) -> tuple[list[Part], Errors]:
    """What each network of the bundle says of some rows of the manifest, and the reasons for those without.

    The rows are of the test split, or none is.
    """
    test = bool((rows["split"] == "test").all())
    parts: list[Part] = []
    errors: Errors = {}
    for number, detector in enumerate(bundle.detectors):
        label = f"features {number + 1} of {len(bundle.detectors)}"
        wanted, most = rows["sha256"], bundle.max_pixels
        cached = features_of(detector, manifest, data_root, most, batch_size, runtime, label, test=test, wanted=wanted)
        features, unusable = cached.of(wanted)
        parts.append(Part(head_logits(detector, features), features))
        errors |= unusable
    return parts, errors


@torch.inference_mode()
def head_logits(detector: Detector, features: np.ndarray) -> np.ndarray:
    """Logits float32 [n] of features [n, F]."""
    device = detector.linear.weight.device
    return detector.eval().classify(torch.from_numpy(features).to(device)).cpu().numpy()
