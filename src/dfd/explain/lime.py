"""LIME (Ribeiro et al. 2016): a linear model of the logit near the image, over superpixels; fitted by Captum.

Regions are blurred at random, each with even chances; copies nearer to the image count more. The distance d is the
authors': the cosine distance between the copy's regions and all regions. The kernel is exp(-d^2 / w^2) with w = 0.25,
narrower by a factor of sqrt(2) than the authors', which is exp(-d^2 / (2 w^2)) with the same w.
"""

from typing import Any

import numpy as np
import torch

from dfd.explain.network import Subject
from dfd.explain.superpixels import superpixels

WIDTH = 0.25
RIDGE = 1.0


def lime(subject: Subject) -> np.ndarray:
    """float32 [S, S]: each pixel its region's coefficient; draws from torch's generator."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    regions = torch.from_numpy(superpixels(subject.pixels))[None, None].to(subject.device)
    method = Lime(subject.logits, interpretable_model=SkLearnRidge(alpha=RIDGE), similarity_func=nearness)
    with torch.no_grad():
        found = method.attribute(
            subject.inputs(),
            baselines=subject.baseline(),
            feature_mask=regions,
            n_samples=subject.samples,
            perturbations_per_eval=subject.batch,
        )
    return found[0, 0].float().cpu().numpy()


def nearness(_: Any, __: Any, present: torch.Tensor, **___: Any) -> torch.Tensor:
    """The weight of a copy whose regions `present` [1, M] are not blurred."""
    cosine = present.float().mean().sqrt()  # between a vector of zeros and ones and one of ones
    return torch.exp(-((1 - cosine) ** 2) / WIDTH**2)
