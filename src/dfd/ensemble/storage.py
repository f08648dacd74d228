"""Combiners on disk, without pickle: numbers as JSON, arrays as safetensors, scikit-learn's estimators by skops.

skops writes an estimator's own attributes, which mean something to the scikit-learn that wrote them. So the estimator's
answers to some inputs are kept beside it, and compared when it is loaded.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dfd.ensemble.combiners import Combiner, FeatureStack, Majority, Mean, NoisyOr, ScoreStack
from dfd.errors import UserError
from dfd.files import replacing, write_text

CARD, ARRAYS, ESTIMATOR = "combiner.json", "combiner.safetensors", "combiner.skops"
PROBES = 16
MAX_BYTES = 2**30  # of an estimator, unpacked
# What skops may make of a file, beyond what it holds to be safe by itself.
TRUSTED = frozenset({"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"})


def save(combiner: Combiner, folder: Path) -> list[str]:
    """Write the combiner's files into a folder; returns their names."""
    card: dict[str, Any] = {"kind": combiner.kind, "size": combiner.size}
    if isinstance(combiner, Mean):
        card |= {"weights": list(combiner.weights), "space": combiner.space}
    arrays: dict[str, Any] = {}
    if isinstance(combiner, ScoreStack | FeatureStack):
        card |= {"chosen": list(combiner.chosen), "settings": combiner.settings}
        inputs = _probes(combiner.estimator.n_features_in_)
        arrays |= {"probe_inputs": inputs, "probe_outputs": combiner.estimator.decision_function(inputs)}
    if isinstance(combiner, FeatureStack):
        card |= {"temperature": combiner.temperature, "bias": combiner.bias}
        arrays |= {"centre": combiner.centre, "components": combiner.components}
        for number in range(len(combiner.chosen)):
            arrays |= {f"means.{number}": combiner.means[number], f"scales.{number}": combiner.scales[number]}
    write_text(folder / CARD, json.dumps(card, indent=1) + "\n")
    if not isinstance(combiner, ScoreStack | FeatureStack):
        return [CARD]
    import skops.io  # late: it takes seconds, and most bundles have no estimator

    with replacing(folder / ARRAYS) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
    with replacing(folder / ESTIMATOR) as temporary:
        skops.io.dump(combiner.estimator, temporary)
    return [CARD, ARRAYS, ESTIMATOR]


def load(folder: Path) -> Combiner:
    """Read what `save` wrote. Raises UserError if it is damaged, or was written by an incompatible scikit-learn."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        kind, size = card["kind"], int(card["size"])
        if kind == Mean.kind:
            return _mean(card["weights"], card["space"])
        if kind == Majority.kind:
            return Majority(size)
        if kind == NoisyOr.kind:
            return NoisyOr(size)
        chosen, settings, arrays = tuple(card["chosen"]), card["settings"], load_file(folder / ARRAYS)
        if not chosen or any(type(one) is not int or not 0 <= one < size for one in chosen):
            raise ValueError(f"chosen={list(chosen)} are no members of {size}")
        estimator = _estimator(folder / ESTIMATOR, arrays)
        if kind == ScoreStack.kind:
            return ScoreStack(size, chosen, estimator, settings)
        if kind == FeatureStack.kind:
            means, scales = (tuple(arrays[f"{name}.{n}"] for n in range(len(chosen))) for name in ("means", "scales"))
            return FeatureStack(
                size,
                chosen,
                means,
                scales,
                arrays["centre"],
                arrays["components"],
                estimator,
                float(card["temperature"]),
                float(card["bias"]),
                settings,
            )
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, SafetensorError, OSError) as error:
        raise UserError(f"{folder / CARD} or a file beside it is damaged: {error!s}") from None
    raise UserError(f"{folder / CARD}: kind {kind!r} is not known")


def _mean(weights: list[float], space: str) -> Mean:
    numbers = tuple(float(weight) for weight in weights)
    if space not in ("probability", "logit") or not np.isclose(sum(numbers), 1) or min(numbers) < 0:
        raise ValueError(f"weights={list(weights)} in space={space!r} are no mean")
    return Mean(numbers, space)


def _probes(width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (PROBES, width))


def _estimator(path: Path, arrays: dict[str, Any]) -> Any:
    import skops.io

    try:
        _check_size(path)
        strangers = set(skops.io.get_untrusted_types(file=path)) - TRUSTED
        if strangers:
            raise UserError(f"{path} wants to make {', '.join(sorted(strangers))}, which no ensemble of dfd needs")
        estimator = skops.io.load(path, trusted=sorted(TRUSTED))
        answers = estimator.decision_function(arrays["probe_inputs"])
    except UserError:
        raise
    except Exception as error:  # what is made of a file of another version, or a damaged one, may raise anything
        raise UserError(f"{path} can't be read ({error!s}): {_other_version()}") from None
    if not np.allclose(answers, arrays["probe_outputs"], rtol=1e-6, atol=1e-6):
        raise UserError(f"{path} gives other answers than when it was made: {_other_version()}")
    return estimator


def _check_size(path: Path) -> None:
    """Raises UserError for an archive that would fill the memory."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise UserError(f"{path} unpacks to {size:,} bytes, limit {MAX_BYTES:,}")


def _other_version() -> str:
    return "bundle.yaml names the scikit-learn that made it, under versions; install that one, or combine anew"
