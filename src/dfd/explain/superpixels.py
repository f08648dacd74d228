"""Regions of an image that belong together, and what a network says when some of them are taken away."""

import numpy as np
import torch
from skimage.segmentation import slic

from dfd.explain.network import Subject

WANTED = 50  # regions: each about the size of an eye in a face that fills the picture


def superpixels(pixels: np.ndarray) -> np.ndarray:
    """SLIC superpixels (Achanta et al. 2012) of uint8 [S, S, 3]: int64 [S, S], numbered from 0 without gaps.

    Each weighs nearness against colour by its own contrast (SLICO): with one weight for all, noise becomes one region.
    """
    found = slic(pixels, n_segments=WANTED, slic_zero=True, start_label=0)
    return np.unique(found, return_inverse=True)[1].reshape(found.shape).astype(np.int64)


def logits_of(subject: Subject, regions: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Logits float64 [n] of n copies in which the regions that are not `present` (bool [n, M]) are blurred."""
    inputs, baseline = subject.inputs(), subject.baseline()
    places = torch.from_numpy(regions).to(inputs.device)
    logits = []
    with torch.inference_mode():
        for part in torch.from_numpy(present).to(inputs.device).split(subject.batch):
            kept = part[:, places][:, None]  # [b, 1, S, S]
            logits.append(subject.logits(torch.where(kept, inputs, baseline)).double().cpu())
    return torch.cat(logits).numpy()
