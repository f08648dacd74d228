"""Integrated gradients (Sundararajan et al. 2017): the gradient, summed up on the way from the blurred image to it.

The pixels' values add up to the logit less the blurred image's. They are true of single pixels and look like noise; a
light blur, which keeps their sum, lets the eye see where they gather.
"""

import cv2
import numpy as np

from dfd.explain.network import Subject

SOFT = 0.01  # of the side, the deviation of that blur


def integrated_gradients(subject: Subject) -> np.ndarray:
    """float32 [S, S], summed over the colours."""
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(subject.logits).attribute(
        subject.inputs(),
        baselines=subject.baseline(),
        n_steps=subject.samples,
        internal_batch_size=subject.batch,
    )
    values = found[0].sum(dim=0).detach().float().cpu().numpy()
    return cv2.GaussianBlur(values, (0, 0), SOFT * subject.side, borderType=cv2.BORDER_REFLECT)
