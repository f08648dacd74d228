"""Which parts of an image speak for 'fake': a map of each network, and of the bundle as a whole.

**An ensemble's map.** Maps of different networks have different scales, so each is divided by the sum of its absolute
values. It then counts as much as its network does for this image: as far as the ensemble's logit moves when that
network alone is shown the blurred image. This asks the ensemble itself, so it holds for every way of combining, trees
and stacked features as well. If no network alone moves it, all count alike.
A network whose logit the ensemble reads the other way round has its map turned round.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from dfd.config import METHODS
from dfd.data.dataset import image_tensor
from dfd.explain import floors
from dfd.explain.baseline import blurred
from dfd.explain.cam import gradcam, gradcampp
from dfd.explain.geometry import placed, shrunk
from dfd.explain.gradients import integrated_gradients
from dfd.explain.lime import lime
from dfd.explain.network import Subject, undisturbed
from dfd.explain.occlusion import occlusion
from dfd.explain.shap import shap
from dfd.inference.engine import Engine, TorchEngine, detectors_of
from dfd.models.bundle import Bundle
from dfd.models.detector import Detector
from dfd.runtime import Runtime

BATCH = 32  # copies of an image a forward pass
COMBINED = "ensemble"
NOTHING = 1e-6  # of a logit: what rounding alone can move
RANDOM = "random"

Method = Callable[[Subject, int], np.ndarray]
_METHODS: dict[str, Method] = {
    "gradcam": lambda subject, _: gradcam(subject),
    "gradcampp": lambda subject, _: gradcampp(subject),
    "shap": shap,
    "lime": lambda subject, _: lime(subject),
    "occlusion": lambda subject, _: occlusion(subject),
    "integrated_gradients": lambda subject, _: integrated_gradients(subject),
    RANDOM: lambda subject, seed: floors.smooth(subject.side, subject.side, seed),
}
assert set(METHODS) <= set(_METHODS)


@dataclass(frozen=True)
class Map:
    """What one network, or the bundle as a whole, sees in an image.

    Attributes:
        values: float32 [H, W], in the geometry of the image it was made for, or of a smaller copy. Above 0 speaks for
            'fake', below 0 for 'real'; NaN where the network did not look (outside of a crop).
        method: how it was made.
        network: name of the network, or 'ensemble' for the map of all together.
        share: how far the bundle's logit hangs on the network, 0 to 1 over all networks; 1 for a whole.
        alike: no network alone moves the bundle's logit, so all count alike and `share` says nothing of this one.
    """

    values: np.ndarray
    method: str
    network: str
    share: float = 1.0
    alike: bool = False


def explain(
    bundle: Bundle,
    image: np.ndarray,
    method: str,
    runtime: Runtime,
    samples: int = 200,
    seed: int = 0,
    longest: int | None = None,
) -> list[Map]:
    """The bundle's map of uint8 RGB [H, W, 3] first; then, if there are several networks, one of each.

    The same for the same seed. The networks are left as they were. With `longest`, no map has a side above it, and only
    one at a time is held at the image's own size: a large image then takes hardly more for many networks than for one.
    Raises UserError if the method can't be used with a network.
    """
    networks = detectors_of(bundle)
    parts = [
        _with_sum(_values(detector, name, image, method, runtime, samples, seed + number), longest)
        for number, (name, detector) in enumerate(networks)
    ]
    values, sums = [part[0] for part in parts], [part[1] for part in parts]
    if len(networks) == 1:
        return [Map(values[0], method, networks[0][0])]
    weights = weights_of(bundle, image, runtime)
    alike = not weights.any()
    weights = np.ones(len(weights)) if alike else weights
    each = [
        Map(values, method, name, share, alike)
        for values, (name, _), share in zip(values, networks, _as_shares(weights), strict=True)
    ]
    return [Map(combined(values, sums, weights), method, COMBINED, alike=alike), *each]


def combined(values: list[np.ndarray], sums: list[float], weights: np.ndarray) -> np.ndarray:
    """The weighted sum float32 [H, W] of maps, each first divided by its sum of absolute values."""
    known = np.logical_or.reduce([np.isfinite(each) for each in values])
    total = np.zeros(values[0].shape, np.float64)
    for each, each_sum, weight in zip(values, sums, weights, strict=True):
        total += weight * np.nan_to_num(each, nan=0.0) / max(each_sum, 1e-30)
    return np.where(known, total, np.nan).astype(np.float32)


def weights_of(bundle: Bundle, image: np.ndarray, runtime: Runtime) -> np.ndarray:
    """How far the bundle's logit moves as each network alone is shown the blurred image, float64 [N].

    Below 0 where the bundle's logit rises as the network's falls. All 0 if no network alone moves anything.
    """
    engine = TorchEngine(bundle, replace(runtime, wanted="fp32", precision="fp32"))
    own, without = _answers(engine, [image, blurred(image)])
    ends = np.cumsum([1 + one.width * want for one, want in zip(bundle.detectors, engine.wanted, strict=True)])
    rows = np.tile(own, (1 + len(ends), 1))
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        rows[1 + number, start:end] = without[start:end]
    logits = engine.logits(rows)
    moved = logits[0] - logits[1:]
    raised = np.array([part.logits[0] - part.logits[1] for part in engine.parts(np.stack([own, without]))])
    weights = np.abs(moved) * np.where(moved * raised < 0, -1.0, 1.0)
    moves = np.isfinite(weights).all() and np.abs(weights).max() > NOTHING
    return weights if moves else np.zeros(len(weights))


def _values(
    detector: Detector, name: str, image: np.ndarray, method: str, runtime: Runtime, samples: int, seed: int
) -> np.ndarray:
    with undisturbed(detector, runtime, seed):
        subject = Subject(detector, name, detector.preprocessing(image), runtime.device, samples, BATCH)
        values = _METHODS[method](subject, seed)
    return placed(values, detector.preprocessing, *image.shape[:2])


def _with_sum(values: np.ndarray, longest: int | None) -> tuple[np.ndarray, float]:
    """A map with no side above `longest`, and the sum of its absolute values at full size.

    Fine detail cancels itself out as a map shrinks. By the smaller sum, the network would count for more.
    """
    total = float(np.abs(np.nan_to_num(values, nan=0.0)).sum(dtype=np.float64))
    return (values if longest is None else shrunk(values, longest)), total


def _answers(engine: Engine, images: list[np.ndarray]) -> np.ndarray:
    """What the engine's networks say of some images, float32 [n, width]."""
    inputs = torch.stack([image_tensor(engine.joint(image)) for image in images])
    device = next(engine.bundle.detectors[0].parameters()).device
    with torch.inference_mode():
        return engine(inputs.to(device)).float().cpu().numpy()


def _as_shares(weights: np.ndarray) -> list[float]:
    return [float(weight) for weight in np.abs(weights) / np.abs(weights).sum()]
