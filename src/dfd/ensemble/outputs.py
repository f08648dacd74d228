"""What the members of an ensemble say of images: the input of every way of combining them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Outputs:
    """M members on n images.

    Attributes:
        logits: [n, M] log-odds of the members' calibrated probabilities.
        votes: [n, M] True where a member calls the image fake, at its own threshold.
        features: for each member [n, K, F], the penultimate features of its K networks (of one, when fitting: see
            `dfd.ensemble.spaces`); None if nobody needs them.
    """

    logits: Floats
    votes: NDArray[np.bool_]
    features: tuple[Features, ...] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def members(self) -> int:
        """Number of members."""
        return int(self.logits.shape[1])

    def rows(self, which: NDArray[np.generic]) -> "Outputs":
        """The rows of a mask or of row numbers."""
        return Outputs(
            self.logits[which],
            self.votes[which],
            None if self.features is None else tuple(one[which] for one in self.features),
        )
