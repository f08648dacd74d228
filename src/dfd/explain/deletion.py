"""Deletion and insertion (Petsiuk et al. 2018, RISE): does the answer follow the pixels that a map ranks highest?

Deletion blurs a picture's pixels from the highest place of the map to the lowest, and insertion starts with the blurred
picture and brings them back in the same order; after each step the detector is asked. If the map is right, the
probability of its answer falls at once in the one and rises at once in the other. The area under the curve over the
share of pixels sums each up: low is good for deletion, high for insertion.

Blurred and not black: see `dfd.explain.baseline`. Equal values, as all pixels of a superpixel have, go in random order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dfd.explain.baseline import blurred

STEPS = 25  # of 4% of the pixels each
Ask = Callable[[np.ndarray], np.ndarray]  # copies uint8 [n, H, W, 3] to the probabilities [n] of the answer


@dataclass(frozen=True)
class Curves:
    """Probability of the answer [STEPS + 1] after each step, from no pixels changed to all."""

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_auc(self) -> float:
        """Area under the deletion curve, 0..1."""
        return float(np.trapezoid(self.deletion, dx=1 / STEPS))

    @property
    def insertion_auc(self) -> float:
        """Area under the insertion curve, 0..1."""
        return float(np.trapezoid(self.insertion, dx=1 / STEPS))


def step_of(values: np.ndarray, seed: int) -> np.ndarray:
    """int64 [H, W]: the step 1..STEPS at which each pixel changes, the highest values first, NaN last."""
    flat = np.where(np.isfinite(values), values, -np.inf).ravel()
    chance = np.random.default_rng(seed).random(flat.size)
    order = np.lexsort((chance, -flat))
    step = np.empty(flat.size, np.int64)
    step[order] = 1 + np.arange(flat.size) * STEPS // flat.size
    return step.reshape(values.shape)


def curves_of(image: np.ndarray, maps: list[np.ndarray], ask: Ask, seed: int, batch_size: int) -> list[Curves]:
    """The curves of several maps [H, W] of one image uint8 [H, W, 3]; high values come first.

    No more than `batch_size` copies with some of the pixels changed are made at once: they have the image's own size.
    """
    soft = blurred(image)
    whole, nothing = ask(np.stack([image, soft]))
    found = []
    for number, values in enumerate(maps):
        copies = _copies(image, soft, step_of(values, seed + number), batch_size)
        answers = np.concatenate([ask(part) for part in copies])
        deletion = np.array([whole, *answers[: STEPS - 1], nothing])
        insertion = np.array([nothing, *answers[STEPS - 1 :], whole])
        found.append(Curves(deletion, insertion))
    return found


def _copies(image: np.ndarray, soft: np.ndarray, step: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Copies uint8 [n, H, W, 3] with 1..STEPS - 1 steps done, in parts: all of deletion, then all of insertion."""
    ways = [(done, way) for way in ((soft, image), (image, soft)) for done in range(1, STEPS)]
    for start in range(0, len(ways), batch_size):
        part = ways[start : start + batch_size]
        yield np.stack([np.where((step <= done)[..., None], after, before) for done, (after, before) in part])
