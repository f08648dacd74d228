"""The model-randomisation test (Adebayo et al. 2018): a map of a network that has forgotten what it learnt must change.

A map that stays the same shows edges or the middle of the picture, and not what the network knows. Weights are shuffled
within each tensor, so that they keep their sizes and the signal does not die out: those of the head alone, or of all
layers.
"""

import copy

import numpy as np
import torch
from scipy.stats import rankdata

from dfd.models.bundle import Bundle
from dfd.runtime import seed_from

PARTS = ("head", "all")


@torch.no_grad()
def randomised(bundle: Bundle, part: str, seed: int) -> Bundle:
    """A copy of the bundle whose networks have shuffled weights in `part`; the bundle stays as it is."""
    forgetful = copy.deepcopy(bundle)
    for number, detector in enumerate(forgetful.detectors):
        generator = torch.Generator().manual_seed(seed_from(seed, number))
        module = detector.head if part == "head" else detector
        for weights in module.parameters():
            if weights.ndim > 1:
                order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                weights.copy_(weights.reshape(-1)[order].view_as(weights))
    return forgetful


def alikeness(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of the absolute values of two maps [H, W]; NaN if either is the same all over."""
    known = np.isfinite(one) & np.isfinite(other)
    ranks = np.stack([rankdata(np.abs(each[known])) for each in (one, other)])
    if not known.any() or (np.ptp(ranks, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])
