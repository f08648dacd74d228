from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.config import RuntimeConfig
from dfd.data.dataset import Features, Images
from dfd.inference.engine import TorchEngine
from dfd.inference.forward import compute_features, compute_logits
from dfd.inference.timing import time_inference
from dfd.models.detector import build
from dfd.runtime import start
from tests.factories import tiny_bundle, tiny_model, tiny_preprocessing, two_class_folder

RUNTIME = RuntimeConfig(device="cpu", precision="fp32", workers=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder = two_class_folder(tmp_path_factory.mktemp("images"), each=5)
    (folder / "real" / "001.png").write_bytes(b"")
    return Images(sorted(folder.rglob("*.png")), tiny_preprocessing(), 10**6)


def test_each_row_gets_its_own_logit_whatever_the_batch(images: Images) -> None:
    runtime = start(RUNTIME, cpu_bf16=False)
    detector = build(tiny_model(), tiny_preprocessing())
    results = [compute_logits(detector, images, size, runtime) for size in (1, 3, 10)]
    for logits, errors in results:
        assert errors == {6: "empty file"}
        assert np.isnan(logits[6]) and np.isfinite(np.delete(logits, 6)).all()
        assert np.allclose(logits, results[0][0], atol=1e-5, equal_nan=True)


def test_features_under_the_head_give_the_logits(images: Images) -> None:
    runtime = start(RUNTIME, cpu_bf16=False)
    detector = build(tiny_model(), tiny_preprocessing())
    features, errors = compute_features(detector, images, 4, runtime)
    assert features.shape == (10, detector.width) and list(errors) == [6]
    logits, _ = compute_logits(detector, Features(torch.from_numpy(features)), 4, runtime)
    assert np.allclose(logits, compute_logits(detector, images, 4, runtime)[0], atol=1e-5, equal_nan=True)


def test_inference_leaves_no_trace_in_the_network(images: Images) -> None:
    detector = build(
        tiny_model(),
        tiny_preprocessing(),
    ).train()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    compute_logits(detector, images, 4, start(RUNTIME, cpu_bf16=False))
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_timing_says_what_was_timed() -> None:
    runtime = start(RUNTIME, cpu_bf16=False)
    timing = time_inference(TorchEngine(tiny_bundle(), runtime), runtime, batch_size=2)
    assert 0 < timing.median_ms <= timing.p95_ms
    assert "batch size 2" in str(timing) and "cpu" in str(timing)


def test_paths_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    data = Images([tmp_path / "later.png"], tiny_preprocessing(), 10**6)
    logits, errors = compute_logits(build(tiny_model(), tiny_preprocessing()), data, 4, start(RUNTIME, cpu_bf16=False))
    assert np.isnan(logits).all() and list(errors) == [0]
