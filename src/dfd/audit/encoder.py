"""What a pretrained network sees in images from which all traces of editing are gone: who and how was photographed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfd.config import EncoderConfig, ModelConfig
from dfd.data.manifest import Manifest
from dfd.errors import UserError
from dfd.evaluation.figures import Floats
from dfd.inference.cache import features_of
from dfd.models.detector import preprocessing_of
from dfd.models.weights import build_pretrained, in_words_of
from dfd.runtime import Runtime

SHARP = "encoder_sharp"


@dataclass(frozen=True)
class Reduce:
    """Shrinks an image to at most `side` pixels in width; the network's own preprocessing enlarges it again."""

    side: int

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 RGB [H, W, 3] to uint8 RGB [h, side, 3]."""
        height, width = image.shape[:2]
        if width <= self.side:
            return image
        size = (self.side, max(1, round(height * self.side / width)))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class Seen:
    """Features [n, F] of all images of a manifest by set: 'encoder_20', 'encoder_48', 'encoder_sharp'.

    `origin` says where the weights come from, `errors` by row why an image could not be used.
    """

    origin: str
    features: dict[str, Floats]
    errors: dict[int, str]


def set_name(side: int) -> str:
    """Name of the set of features of images `side` pixels wide."""
    return f"encoder_{side}"


def look(
    config: EncoderConfig, manifest: Manifest, data_root: Path, max_pixels: int, batch_size: int, runtime: Runtime
) -> Seen | str:
    """Features of the reduced and of the sharp images, from the cache where they are in it.

    Returns the reason in words if the weights can't be downloaded. Raises UserError if a file or
    network that was named is no good: then the user wanted it.
    """
    model = ModelConfig(config.name, config.backbone, weights=config.weights, freeze="backbone")
    try:
        detector, origin = build_pretrained(model, preprocessing_of(model))
    except UserError as error:
        message = in_words_of("encoder", str(error))
        reason, unreachable, _ = message.partition(" Ways out:")
        if config.weights or not unreachable:
            raise UserError(message) from None
        return reason
    runtime.place(detector)
    features: dict[str, Floats] = {}
    errors: dict[int, str] = {}
    for side in [*sorted(set(config.sides)), None]:
        change, named = (None, "") if side is None else (Reduce(side), f"at most {side} pixels wide")
        label = f"{config.name}, {named or 'sharp'}"
        found = np.full((len(manifest.table), detector.width), np.nan)
        for rows, test in _parts(manifest):
            cached = features_of(
                detector,
                manifest,
                data_root,
                max_pixels,
                batch_size,
                runtime,
                label,
                test=test,
                change=change,
                change_name=named,
            )
            found[rows], unusable = cached.of(manifest.table["sha256"].iloc[rows])
            errors |= {int(rows[row]): reason for row, reason in unusable.items()}
        features[SHARP if side is None else set_name(side)] = found
    return Seen(origin, features, errors)


def _parts(manifest: Manifest) -> list[tuple[NDArray[np.int64], bool]]:
    """Numbers of the rows outside (False) and inside (True) of the test split, which the cache keeps apart."""
    is_test = (manifest.table["split"] == "test").to_numpy()
    parts = [(np.flatnonzero(is_test == test), test) for test in (False, True)]
    return [(rows, test) for rows, test in parts if len(rows)]
