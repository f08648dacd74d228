"""DeLong's test: the standard error of the difference of two AUROCs that were measured on the same images.

E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver
operating characteristic curves", Biometrics 44 (1988) 837-845, by midranks in O(n log n) as in X. Sun and W. Xu, "Fast
implementation of DeLong's algorithm", IEEE Signal Processing Letters 21 (2014) 1389-1393. Rows have to be independent.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from dfd.evaluation.figures import Floats


def delong(label: NDArray[Any], first: Floats, second: Floats) -> tuple[float, float]:
    """AUROC of `first` less that of `second`, and its standard error; labels and scores are [n], 1 = fake.

    The error is 0 when both order the images alike, and NaN with fewer than two images of a class.
    """
    components = [placements(label, score) for score in (first, second)]
    fakes, reals = (one - other for one, other in zip(*components, strict=True))
    if min(len(fakes), len(reals)) < 2:
        return float(fakes.mean()), float("nan")
    variance = fakes.var(ddof=1) / len(fakes) + reals.var(ddof=1) / len(reals)
    return float(fakes.mean()), float(np.sqrt(variance))


def placements(label: NDArray[Any], score: Floats) -> tuple[Floats, Floats]:
    """DeLong's structural components: for each fake the share of reals below it, for each real that of fakes above it.

    Ties count half; the mean of either is the AUROC.
    """
    fake = label == 1
    among_all = rankdata(score)  # midranks
    below = among_all[fake] - rankdata(score[fake])
    above = fake.sum() - (among_all[~fake] - rankdata(score[~fake]))
    return below / (~fake).sum(), above / fake.sum()
