"""What a detector's task makes of the network that it trains."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dfd.data.dataset import Batch, Images
from dfd.models.weights import build_pretrained
from dfd.runtime import start
from dfd.training.detector_task import DetectorTask
from dfd.training.splits import Split
from tests.factories import tiny_model, tiny_preprocessing, tiny_train


def test_attention_is_written_out_in_training_steps_on_a_cpu_and_there_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny_train()
    config.model = tiny_model(backbone="test_vit.r160_in1k")
    runtime = start(config.runtime, cpu_bf16=False)
    detector, _ = build_pretrained(config.model, tiny_preprocessing(size=160))
    data = Images([Path("one"), Path("two")], detector.preprocessing, 1)
    labels = np.array([0, 1])
    split = Split(data, data, labels, labels, labels, ["one", "two"], "data")
    task = DetectorTask(config, detector, split, split, runtime)
    layers = [module for module in detector.modules() if hasattr(module, "fused_attn")]
    seen = []
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *_, **__: pytest.fail("fused in a training step")
    )
    for layer in layers:
        layer.register_forward_hook(lambda module, *_: seen.append(module.fused_attn))
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    task.step([Batch(torch.tensor([0, 1]), images, {})], 0)
    assert len(seen) == len(layers) and not any(seen)
    assert all(layer.fused_attn for layer in layers)
