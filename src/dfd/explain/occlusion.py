"""Occlusion (Zeiler & Fergus 2014): how far the logit falls under a blurred patch that slides over the image."""

import numpy as np
import torch

from dfd.explain.network import Subject

PATCH, STEP = 7, 14  # parts of the side: a patch is about an eye, and half of it is a step


def occlusion(subject: Subject) -> np.ndarray:
    """float32 [S, S]: the mean over the patches that cover a pixel."""
    from captum.attr import Occlusion

    patch, step = max(2, subject.side // PATCH), max(1, subject.side // STEP)
    with torch.no_grad():
        found = Occlusion(subject.logits).attribute(
            subject.inputs(),
            sliding_window_shapes=(3, patch, patch),
            strides=(3, step, step),
            baselines=subject.baseline(),
            perturbations_per_eval=subject.batch,
        )
    return found[0, 0].float().cpu().numpy()
