"""Does a graph say what the bundle's networks say? Both get the same pixels, and what they answer is compared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from dfd.config import ExportConfig
from dfd.data.dataset import Images
from dfd.ensemble.combiners import Majority, ScoreStack
from dfd.errors import UserError
from dfd.evaluation.figures import auroc, curve, order
from dfd.evaluation.intervals import wilson
from dfd.evaluation.paired import Scored, compare
from dfd.inference.engine import Engine
from dfd.inference.forward import compute
from dfd.inference.graph import LOGIT, PROB
from dfd.inference.graph_engine import GraphEngine
from dfd.models.bundle import Bundle, EnsembleBundle
from dfd.runtime import Runtime

Floats = NDArray[np.float64]
ALONE = 8  # images that are also answered one by one
RESAMPLES, SEED = 2000, 0


@dataclass(frozen=True)
class Answers:
    """Of n readable images: what networks say [n, width], by the reference and by the graph, and more by the graph.

    `alone` [a, width]: the first of the images, each in a batch of its own. `own`: the graph's own logit and
    probability [n, 2]; None if it has none. `errors`: by row, the reasons for what could not be read.
    """

    rows: pd.DataFrame
    reference: np.ndarray
    graph: np.ndarray
    alone: np.ndarray
    own: np.ndarray | None
    errors: dict[int, str]


def ask(
    reference: Engine, graph: GraphEngine, rows: pd.DataFrame, images: Images, batch_size: int, runtime: Runtime
) -> Answers:
    """Both engines' answers to the images of `rows`, each decoded once. Raises UserError if none can be read."""
    width, names = graph.width, [name for name in (LOGIT, PROB) if name in graph.graph.outputs]

    def both(inputs: torch.Tensor) -> torch.Tensor:
        own = graph.outputs(inputs, names) if names else {}
        columns = [reference(inputs).cpu(), graph(inputs), *(torch.from_numpy(own[name])[:, None] for name in names)]
        return torch.cat(columns, dim=1)

    shape = (2 * width + len(names),)
    values, errors = compute(both, images, shape, batch_size, runtime, "test images")
    usable = np.array([row not in errors for row in range(len(rows))])
    if not usable.any():
        raise UserError(f"none of the {len(rows)} test images can be read, such as: {next(iter(errors.values()))}")
    first = np.flatnonzero(usable)[:ALONE]
    one_by_one = Images([images.paths[row] for row in first], graph.joint, images.max_pixels)
    alone, _ = compute(graph, one_by_one, (width,), 1, runtime)
    values = values[usable]
    return Answers(
        rows[usable].reset_index(drop=True),
        values[:, :width],
        values[:, width : 2 * width],
        alone,
        values[:, 2 * width :] if names else None,
        errors,
    )


def measure(answers: Answers, engine: Engine) -> dict[str, Any]:
    """The figures of metrics.json. Raises UserError if an answer of the graph is no number where the bundle's is."""
    bundle, label = engine.bundle, answers.rows["label"].to_numpy(np.int64)
    logits = [engine.logits(values) for values in (answers.reference, answers.graph)]
    _check_numbers(*logits)
    networks = [_network_logits(engine, values) for values in (answers.reference, answers.graph)]
    alone = [engine.logits(values) for values in (answers.alone, answers.graph[: len(answers.alone)])]
    probs = [bundle.calibration.prob(each) for each in logits]
    verdicts = [bundle.calibration.verdict(each) for each in probs]
    groups = answers.rows["group"].to_numpy()
    changed = verdicts[0] != verdicts[1]
    return {
        "n": len(label),
        "n_groups": len(np.unique(groups)),
        "n_unreadable": len(answers.errors),
        "continuous": is_continuous(bundle),
        "logit": _apart(*logits),
        "network_logit": _apart(*networks),
        "prob": _apart(*probs),
        "batch": {**_apart(*alone), "n": len(answers.alone)},
        "own": _own(answers.own, logits[1], probs[1]),
        "auroc": _auroc(label, groups, logits, probs, bundle.calibration.threshold),
        "flips": _flips(changed, len(np.unique(groups))),
        "reversed": int((changed & (verdicts[0] != "unsure") & (verdicts[1] != "unsure")).sum()),
        "verdicts": _table(*verdicts),
    }


def is_continuous(bundle: Bundle) -> bool:
    """Whether a small change of what networks say is a small change of the bundle's logit: not if it counts votes."""
    if not isinstance(bundle, EnsembleBundle):
        return True
    combiner = bundle.combiner
    trees = isinstance(combiner, ScoreStack) and not isinstance(combiner.estimator, LogisticRegression)
    return not trees and not isinstance(combiner, Majority) and all(is_continuous(member) for member in bundle.members)


def refusal(figures: dict[str, Any], config: ExportConfig) -> str | None:
    """Why the graph is refused, by the tolerances of the settings; None if it is good."""
    if config.precision == "fp32":
        return _too_far(figures, config.tolerance) or _own_too_far(figures, config.tolerance)
    if figures["auroc"]["lost"] is None:
        return f"{config.precision} is accepted by its AUROC, which needs images of both classes"
    lost, flips = figures["auroc"]["lost"], figures["flips"]["value"]
    if not lost <= config.auroc_tolerance:
        return f"it loses {lost:.4f} of AUROC, and auroc_tolerance={config.auroc_tolerance:g}"
    if not flips <= config.flip_tolerance:
        return f"{flips:.1%} of the verdicts change, and flip_tolerance={config.flip_tolerance:g}"
    return _own_too_far(figures, config.tolerance)


def _too_far(figures: dict[str, Any], tolerance: float) -> str | None:
    places = {"network_logit": "a network's logit differs", "batch": "an image alone and in a batch differ"}
    if figures["continuous"]:
        places["logit"] = "the logit differs"
    for key, words in places.items():
        if not figures[key]["max"] <= tolerance:  # nor is NaN
            return f"{words} by up to {figures[key]['max']:.2g}, and tolerance={tolerance:g}"
    return None


def _own_too_far(figures: dict[str, Any], tolerance: float) -> str | None:
    """The combining and calibrating parts of a graph compute in fp32 at any precision of its networks."""
    if figures["own"] is None or not figures["continuous"]:
        return None
    for key, value in figures["own"].items():
        if not value <= tolerance:
            return (
                f"the graph's own {key} is up to {value:.2g} from dfd's of the same values, and tolerance={tolerance:g}"
            )
    return None


def _check_numbers(reference: Floats, graph: Floats) -> None:
    lost = np.isfinite(reference) & ~np.isfinite(graph)
    if lost.any():
        raise UserError(f"the graph gives no finite logit for {lost.sum()} of {len(lost)} images, and the bundle does")
    if not np.isfinite(reference).all():
        raise UserError(
            f"the bundle itself gives no finite logit for {(~np.isfinite(reference)).sum()} of {len(lost)} images"
        )


def _network_logits(engine: Engine, values: np.ndarray) -> Floats:
    return np.stack([part.logits for part in engine.parts(values)], axis=1).astype(np.float64)


def _apart(one: Floats, other: Floats) -> dict[str, float]:
    apart = np.abs(one - other)
    return {"max": float(apart.max()), "mean": float(apart.mean())}


def _own(own: np.ndarray | None, logit: Floats, prob: Floats) -> dict[str, float] | None:
    """How far the numbers that the graph works out by itself are from those that dfd makes of its values."""
    if own is None:
        return None
    return {"logit": _apart(own[:, 0], logit)["max"], "prob": _apart(own[:, 1], prob)["max"]}


def _auroc(
    label: NDArray[np.int64], group: NDArray[Any], logits: Sequence[Floats], probs: Sequence[Floats], threshold: float
) -> dict[str, Any]:
    if len(np.unique(label)) < 2:
        return {"before": None, "after": None, "lost": None, "reason": "images of one class alone"}
    before, after = (_auroc_of(label, logit) for logit in logits)
    scored = [Scored(logit, prob, prob >= threshold) for logit, prob in zip(logits, probs, strict=True)]
    found = compare(label, group, scored[1], scored[0], RESAMPLES, SEED).differences["auroc"]
    return {"before": before, "after": after, "lost": before - after, "difference": asdict(found)}


def _auroc_of(label: NDArray[np.int64], logit: Floats) -> float:
    return float(auroc(curve(label, order(logit), np.ones((1, len(label)))))[0])


def _flips(changed: NDArray[np.bool_], groups: int) -> dict[str, float]:
    share = float(changed.mean())
    low, high = wilson(share, groups)
    return {"value": share, "low": low, "high": high, "n": len(changed), "count": int(changed.sum())}


def _table(before: NDArray[np.object_], after: NDArray[np.object_]) -> dict[str, dict[str, int]]:
    """Counts of verdicts: by the bundle, then by the graph."""
    names = ("real", "unsure", "fake")
    return {one: {other: int(((before == one) & (after == other)).sum()) for other in names} for one in names}
