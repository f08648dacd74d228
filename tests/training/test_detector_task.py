"""What a detector's task makes of the network that it trains."""

from pathlib import Path

import numpy as np
import torch

from dfd.data.dataset import Images
from dfd.models.weights import build_pretrained
from dfd.runtime import start
from dfd.training.detector_task import DetectorTask
from dfd.training.splits import Split
from tests.factories import tiny_model, tiny_preprocessing, tiny_train


def test_attention_on_a_cpu_is_written_out_and_says_the_same() -> None:
    config = tiny_train()
    config.model = tiny_model(backbone="test_vit.r160_in1k")
    runtime = start(config.runtime, cpu_bf16=False)
    detector, _ = build_pretrained(config.model, tiny_preprocessing(size=160))
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    fused = detector.eval()(images)
    data = Images([Path("one"), Path("two")], detector.preprocessing, 1)
    labels = np.array([0, 1])
    split = Split(data, data, labels, labels, labels, ["one", "two"], "data")
    DetectorTask(config, detector, split, split, runtime)
    written = [module.fused_attn for module in detector.modules() if hasattr(module, "fused_attn")]
    assert written and not any(written)
    assert torch.allclose(detector.eval()(images), fused, atol=1e-5)
