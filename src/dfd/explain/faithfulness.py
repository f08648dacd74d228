"""How faithful maps are, image by image: the figures that `dfd explain --faithfulness` sums up.

Beside the methods stand maps that know nothing: RANDOM_SMOOTH smooth ones and one of noise. One is enough there: its
curves hardly differ from draw to draw, since each step takes pixels from all over the image.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from dfd.data.dataset import image_tensor
from dfd.data.layout import MIDDLE, replaced
from dfd.explain import floors
from dfd.explain.deletion import Curves, curves_of
from dfd.explain.maps import explain
from dfd.explain.pointing import hit
from dfd.explain.randomisation import alikeness
from dfd.inference.engine import Engine
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime

RANDOM_SMOOTH = 3
SMOOTH, NOISE = "random_smooth", "random_noise"


@dataclass(frozen=True)
class Measured:
    """One method, or one floor, on one image; the smooth floor's values are means over its maps.

    `curves` is None where they were not asked for. `pointing` is the share of its maps whose peak lies in a replaced
    part, None where nothing is known to be replaced. `alike` has the rank correlation with the map of a randomised
    network, by the part that was randomised.
    """

    method: str
    curves: Curves | None
    pointing: float | None
    alike: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """One image: the bundle's probability and answer, and the figures of each method and floor.

    `area` is the share of the picture in replaced parts, and `middle_hits` whether the middle of the face lies in one;
    None where nothing is known to be replaced.
    """

    prob: float
    called_fake: bool
    area: float | None
    middle_hits: bool | None
    measured: list[Measured]


@dataclass(frozen=True)
class Examiner:
    """What is asked of every image.

    `methods` make their maps with `samples` draws, and copies go through the `engine` in batches of `batch_size`.
    `forgetful` are copies of the bundle with randomised networks; see `randomisation`.
    """

    bundle: Bundle
    engine: Engine
    runtime: Runtime
    methods: tuple[str, ...]
    samples: int
    batch_size: int
    forgetful: dict[str, Bundle]

    def __call__(self, image: np.ndarray, region: str, seed: int, *, curves: bool, alike: bool) -> Answers:
        """Examine uint8 RGB [H, W, 3]. `region`: see `layout`; `curves`, `alike`: whether to measure these as well."""
        height, width = image.shape[:2]
        prob = float(self._probabilities(image[None])[0])
        called_fake = prob >= self.bundle.calibration.threshold
        own = {method: [self._map(self.bundle, image, method, seed)] for method in self.methods}
        drawn = {
            SMOOTH: [floors.smooth(height, width, seed + number) for number in range(RANDOM_SMOOTH)],
            NOISE: [floors.noise(height, width, seed)],
        }
        altered = replaced(region, height, width)
        measured = [
            Measured(
                method,
                self._curves(image, maps, called_fake, method in own, seed) if curves else None,
                float(np.mean([hit(one, altered) for one in maps])) if altered.any() else None,
                self._alike(image, method, maps[0], seed) if alike and method in own else {},
            )
            for method, maps in {**own, **drawn}.items()
        ]
        if not altered.any():
            return Answers(prob, called_fake, None, None, measured)
        middle_hits = hit(floors.peaked(height, width, MIDDLE), altered)
        return Answers(prob, called_fake, float(altered.mean()), middle_hits, measured)

    def _map(self, bundle: Bundle, image: np.ndarray, method: str, seed: int) -> np.ndarray:
        return explain(bundle, image, method, self.runtime, self.samples, seed)[0].values

    def _curves(self, image: np.ndarray, maps: list[np.ndarray], called_fake: bool, knows: bool, seed: int) -> Curves:
        """The mean curves of some maps, for the probability of the class that was called."""

        def ask(copies: np.ndarray) -> np.ndarray:
            fake = self._probabilities(copies)
            return fake if called_fake else 1 - fake

        # High values speak for 'fake'; turned round, for the other answer. A map that knows nothing speaks for any.
        turned = [-each for each in maps] if knows and not called_fake else maps
        found = curves_of(image, turned, ask, seed, self.batch_size)
        return Curves(
            np.mean([each.deletion for each in found], axis=0), np.mean([each.insertion for each in found], axis=0)
        )

    def _alike(self, image: np.ndarray, method: str, values: np.ndarray, seed: int) -> dict[str, float]:
        return {
            part: alikeness(values, self._map(bundle, image, method, seed)) for part, bundle in self.forgetful.items()
        }

    def _probabilities(self, copies: np.ndarray) -> np.ndarray:
        """The bundle's calibrated probabilities of 'fake' [n] of copies uint8 [n, H, W, 3]."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(copies), self.batch_size):
                part = copies[start : start + self.batch_size]
                inputs = torch.stack([image_tensor(self.engine.joint(one)) for one in part])
                found.append(self.engine(inputs.to(self.runtime.device)).float().cpu().numpy())
        return self.bundle.calibration.prob(self.engine.logits(np.concatenate(found)))
