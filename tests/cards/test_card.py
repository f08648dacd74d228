"""Cards of tiny detectors: what they hold, and that they say the same as the engine."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dfd.cards.card import Card, judge, make_card
from dfd.cards.copies import COPIES
from dfd.cards.picture import open_picture
from dfd.config import RuntimeConfig
from dfd.data.dataset import image_tensor
from dfd.data.decode import UnusableImage, read_image
from dfd.evaluation.calibration import Calibration
from dfd.inference.engine import Engine, TorchEngine
from dfd.models.bundle import Bundle
from dfd.runtime import Runtime, start
from tests.factories import tiny_bundle, tiny_ensemble
from tests.images import bomb, encoded, picture

DATA = encoded(picture(4, 64, 48))
KEYS = ["version", "file", "verdict", "reasons", "score", "members", "stability", "evidence", "bundle", "words"]


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


def card_of(bundle: Bundle, runtime: Runtime, data: bytes = DATA, name: str = "a.jpg") -> Card:
    return make_card(name, data, TorchEngine(bundle, runtime), runtime, bundle.max_pixels)


def banded(low: float, threshold: float, high: float, **changes: Any) -> Bundle:
    return replace(tiny_bundle(), calibration=Calibration(1.5, 0.1, threshold, low, high), **changes)


def test_the_keys_are_those_of_the_contract(runtime: Runtime) -> None:
    found = json.loads(json.dumps(card_of(tiny_ensemble(), runtime).to_dict()))
    assert list(found) == KEYS and found["version"] == 1
    assert found["file"] == {
        "name": "a.jpg",
        "bytes": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "format": "JPEG",
        "width": 64,
        "height": 48,
    }
    assert set(found["score"]) == {"prob", "logit", "threshold", "unsure_low", "unsure_high", "verdict"}
    assert set(found["stability"]) == {"copies", "flips", "opposite", "lowest", "highest"}
    assert set(found["stability"]["copies"][0]) == {"change", "strength", "words", "prob", "verdict"}
    assert set(found["bundle"]) == {"name", "sha256", "kind", "data", "metrics"}
    assert [set(member) for member in found["members"]] == [{"name", "prob", "logit", "verdict"}] * 2


@pytest.mark.parametrize("make", [tiny_bundle, tiny_ensemble])
def test_the_score_is_the_engine_s(runtime: Runtime, make: Any) -> None:
    bundle = make()
    engine = TorchEngine(bundle, runtime)
    with torch.inference_mode():
        values = engine(image_tensor(engine.joint(read_image(DATA, 10**6)))[None]).numpy()
    card = card_of(bundle, runtime)
    assert card.score.logit == pytest.approx(engine.logits(values)[0], abs=1e-4)
    assert card.score.prob == pytest.approx(float(bundle.calibration.prob(engine.logits(values))[0]), abs=1e-4)
    if make is tiny_ensemble:
        assert [member.logit for member in card.members] == pytest.approx(
            list(engine.member_logits(values)[0]), abs=1e-4
        )
        assert [member.name for member in card.members] == ["first", "second"]
    else:
        assert card.members == ()


def test_models_of_folds_are_read_as_the_whole_is(runtime: Runtime) -> None:
    """They have no calibration of their own: without this they would never be unsure."""
    whole = Calibration(1.0, 0.0, 0.5, 0.0, 1.0)
    own = tiny_ensemble()
    folds = replace(own, calibration=whole, training={**own.training, "final": "average"})
    card = card_of(folds, runtime)
    assert {member.verdict for member in card.members} == {"unsure"}
    assert "All 2 models of the detector's folds agree." in card.reasons
    assert {member.verdict for member in card_of(replace(own, calibration=whole), runtime).members} != {"unsure"}


def test_the_picture_and_all_copies_go_in_one_pass(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    real = TorchEngine.__call__

    def counted(self: TorchEngine, inputs: torch.Tensor) -> torch.Tensor:
        passes.append(len(inputs))
        return real(self, inputs)

    monkeypatch.setattr(TorchEngine, "__call__", counted)
    card = card_of(tiny_bundle(), runtime)
    assert passes == [1 + len(COPIES)] and len(card.stability.copies) == len(COPIES)


def test_a_prepared_picture_gives_the_same_card(runtime: Runtime) -> None:
    engine = TorchEngine(tiny_ensemble(), runtime)
    prepared, pixels = open_picture("a.jpg", DATA, engine.joint, 10**6)
    assert pixels.shape == (48, 64, 3) and prepared.inputs.dtype == np.uint8
    assert judge(prepared, engine, runtime) == make_card("a.jpg", DATA, engine, runtime, 10**6)


def test_copies_that_contradict_make_the_verdict_unsure_and_the_card_says_why(runtime: Runtime) -> None:
    probs = [copy.prob for copy in card_of(tiny_bundle(), runtime).stability.copies]
    own = card_of(tiny_bundle(), runtime).score.prob
    between = (own + max(probs, key=lambda prob: abs(prob - own))) / 2  # some copy lies on the other side
    card = card_of(banded(between, between, between), runtime)
    assert card.score.verdict in ("real", "fake") and card.verdict == "unsure"
    assert card.stability.opposite >= 1
    assert any("takes back" in reason and card.score.verdict in reason for reason in card.reasons)


@pytest.mark.parametrize(("bands", "verdict"), [((0, 0, 0), "fake"), ((1, 1, 1), "real"), ((0, 0.5, 1), "unsure")])
def test_the_bands_decide(runtime: Runtime, bands: tuple[float, float, float], verdict: str) -> None:
    card = card_of(banded(*bands), runtime)
    assert card.verdict == card.score.verdict == verdict and card.stability.flips == 0
    assert "All 7 copies" in card.reasons[1]


def test_a_picture_from_the_training_data_is_told(runtime: Runtime) -> None:
    seen = frozenset([hashlib.sha256(DATA).hexdigest()[:16]])
    assert any("from memory" in reason for reason in card_of(banded(0, 0, 0, seen=seen), runtime).reasons)
    assert not any("from memory" in reason for reason in card_of(banded(0, 0, 0), runtime).reasons)


@pytest.mark.parametrize("data", [b"", b"text", DATA[:200], bomb(30_000, 30_000)])
def test_what_gives_no_pixels_is_unusable(runtime: Runtime, data: bytes) -> None:
    with pytest.raises(UnusableImage):
        card_of(tiny_bundle(), runtime, data)


def test_no_score_is_no_card(runtime: Runtime) -> None:
    class Broken(TorchEngine):
        def logits(self: Engine, values: np.ndarray) -> np.ndarray:
            return np.full(len(values), np.nan)

    with pytest.raises(UnusableImage, match="no finite score"):
        make_card("a.jpg", DATA, Broken(tiny_bundle(), runtime), runtime, 10**6)
