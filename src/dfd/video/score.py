"""A video through an engine: the score of each frame that is looked at, and the verdict of all."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from dfd.config import VideoConfig
from dfd.data.dataset import Batch, image_tensor
from dfd.inference.engine import Engine
from dfd.inference.forward import to_device
from dfd.inference.predictions import predictions_of
from dfd.runtime import Runtime
from dfd.video.errors import UnusableVideo
from dfd.video.faces import NO_FACE, Box, FaceCrops, Finder
from dfd.video.reader import Clip, Frame, read_video
from dfd.video.verdict import Verdict, judge
from dfd.video.wire import Reading

PICTURE_SIDE = 160  # pixels of a kept picture's longer side


@dataclass(frozen=True)
class ScoredVideo:
    """A video's verdict and how it came about.

    `frames`: a row a frame that was looked at: frame (its number), time (s), scene (whether one begins with it), logit,
    prob, verdict, error, box ([x, y, width, height] in pixels of the frame, of the part that was looked at, or None).
    `pictures`: small JPEGs of what was looked at, None for frames that could not be scored. `facts` and `notes`: see
    `reader.Clip`. `error`: why there is no verdict at all; then `frames` may be empty and `facts` are.
    """

    path: Path
    facts: dict[str, Any]
    frames: pd.DataFrame
    pictures: list[bytes | None]
    verdict: Verdict
    notes: list[str]
    error: str | None = None


@dataclass(frozen=True)
class _Look:
    """What is kept of a frame once the network has seen it."""

    frame: Frame
    error: str | None
    box: Box | None
    picture: bytes | None


def score_video(
    engine: Engine,
    path: Path,
    config: VideoConfig,
    batch_size: int,
    max_pixels: int,
    finder: Finder | None,
    runtime: Runtime,
) -> ScoredVideo:
    """Score one video file; one that gives no frames comes back with an `error`. `finder`: cut out faces."""
    reading = Reading(config.frames, config.sampling == "scenes", config.seconds, max_pixels)
    crops = FaceCrops(finder) if finder is not None else None
    try:
        with read_video(path, reading) as clip:
            looks, logits = _score(engine, clip, crops, batch_size, runtime)
            facts, notes = clip.facts, clip.notes
    except UnusableVideo as error:
        nothing = judge(np.empty(0), engine.bundle.calibration, config.aggregate)
        return ScoredVideo(path, {}, _table([], np.empty(0), engine), [], nothing, [], error.reason)
    table = _table(looks, logits, engine)
    verdict = judge(table["logit"].to_numpy(np.float64), engine.bundle.calibration, config.aggregate)
    why = None if verdict.verdict else _why_nothing(table)
    return ScoredVideo(path, facts, table, [look.picture for look in looks], verdict, notes, why)


def _score(
    engine: Engine, clip: Clip, crops: FaceCrops | None, batch_size: int, runtime: Runtime
) -> tuple[list[_Look], NDArray[np.float64]]:
    """What was looked at, and the logits float64 [n], NaN where there is an error."""
    looks: list[_Look] = []
    logits: list[NDArray[np.float64]] = []
    for batch, inputs in _batches(engine, clip, crops, batch_size):
        found = np.full(len(batch), np.nan)
        if inputs:
            usable = [look.error is None for look in batch]
            found[usable] = engine.logits(_apply(engine, inputs, runtime))
        looks += batch
        logits.append(found)
    return looks, np.concatenate(logits) if logits else np.empty(0)


def _batches(
    engine: Engine, clip: Clip, crops: FaceCrops | None, batch_size: int
) -> Iterator[tuple[list[_Look], list[torch.Tensor]]]:
    """Frames, and the inputs of those that are usable, at most `batch_size` of them."""
    looks: list[_Look] = []
    inputs: list[torch.Tensor] = []
    for frame in clip.frames:
        pixels, box, error = _part_of(frame, crops)
        kept = Frame(frame.number, frame.time, frame.scene, None)  # the pixels are let go
        looks.append(_Look(kept, error, box, None if pixels is None else _picture(pixels)))
        if pixels is not None:
            inputs.append(image_tensor(engine.joint(pixels)))
        if len(inputs) == batch_size:
            yield looks, inputs
            looks, inputs = [], []
    if looks:
        yield looks, inputs


def _part_of(frame: Frame, crops: FaceCrops | None) -> tuple[NDArray[np.uint8] | None, Box | None, str | None]:
    """The pixels that are scored, where they are in the frame, and why there are none."""
    if frame.pixels is None or crops is None:
        return frame.pixels, None, frame.error
    found = crops(frame.pixels, frame.time)
    return (found[0], found[1], None) if found else (None, None, NO_FACE)


def _apply(engine: Engine, inputs: list[torch.Tensor], runtime: Runtime) -> NDArray[np.float32]:
    batch = Batch(torch.arange(len(inputs)), torch.stack(inputs), {})
    with torch.inference_mode(), torch.autocast(runtime.device.type, enabled=False):
        return engine(to_device(batch, runtime)).float().cpu().numpy()


def _table(looks: list[_Look], logits: NDArray[np.float64], engine: Engine) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "frame": pd.Series([look.frame.number for look in looks], dtype=np.int64),
            "time": pd.Series([look.frame.time for look in looks], dtype=np.float64),
            "scene": pd.Series([look.frame.scene for look in looks], dtype=bool),
        }
    )
    errors = {row: look.error for row, look in enumerate(looks) if look.error is not None}
    scores = predictions_of(rows, logits, errors, engine.bundle.calibration)
    boxes = [None if look.box is None else [int(side) for side in look.box] for look in looks]
    return rows.assign(**{name: scores[name] for name in scores}, box=pd.Series(boxes, dtype=object))


def _why_nothing(table: pd.DataFrame) -> str:
    reasons = table["error"].value_counts()
    return ", ".join(f"{reason} ({n} frames)" for reason, n in reasons.items()) or "no frames in it"


def _picture(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
