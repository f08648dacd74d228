"""Features of several networks as if they were one's.

A cross-validated member has a network for each fold, and an image's out-of-fold features come from the one that has not
seen it. Each network's features have a location and scale of their own, which is taken out here. Their axes may differ
too; networks that start from the same pretrained weights keep them alike, and what is lost shows in the figures of
out-of-fold rows, which a stack scores through a network that it was not fitted on.
"""

import numpy as np

from dfd.ensemble.outputs import Features, Ints


def harmonise(features: Features, space: Ints) -> tuple[Features, Features, Features]:
    """Standardise features [n, F] within each network's rows, without looking at labels.

    `space` [n] says whose features a row has, 0..K-1. Returns the features, and the means and scales [K, F]; those of
    a single network are left as they are.
    """
    spaces, width = int(space.max(initial=0)) + 1, features.shape[1]
    means, scales = np.zeros((spaces, width), np.float32), np.ones((spaces, width), np.float32)
    if spaces == 1:
        return features, means, scales
    result = np.empty(features.shape, np.float32)
    for which in range(spaces):
        rows = space == which
        means[which], scales[which] = standard(features[rows])
        result[rows] = (features[rows] - means[which]) / scales[which]
    return result, means, scales


def standard(features: Features) -> tuple[Features, Features]:
    """Mean and deviation [F] of features [n, F]; an infinite deviation takes the say from those that don't vary."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    return mean.astype(np.float32), np.where(varies, deviation, np.inf).astype(np.float32)
