import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.models import bundle
from dfd.models.detector import build
from tests.factories import tiny_model, tiny_preprocessing


def made(folder: Path, name: str = "first") -> bundle.Bundle:
    one = bundle.Bundle(
        name=name,
        model=tiny_model(),
        detector=build(tiny_model(), tiny_preprocessing()).eval(),
        preprocessing=tiny_preprocessing(),
        calibration=Calibration(1.5, 0.1, 0.45, 0.4, 0.5),
        max_pixels=12345,
        data={"name": "tiny", "fingerprint": "abc", "train": 2, "val": 1},
        training={"seconds": 1.0, "weights": "random"},
        metrics={"auroc": 0.5},
        config="data: {}\n",
        seen=bundle.seen_in(pd.DataFrame({"sha256": ["a" * 64, "b" * 64]})),
        versions=bundle.versions(),
    )
    bundle.save(one, folder)
    return one


def test_a_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    saved, loaded = made(tmp_path), bundle.load(tmp_path)
    for name in ("name", "model", "preprocessing", "calibration", "max_pixels", "data", "training", "seen", "versions"):
        assert getattr(loaded, name) == getattr(saved, name), name
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded.detector(images), saved.detector(images))
    assert not loaded.detector.training


def test_a_single_flipped_bit_in_the_weights_is_noticed(tmp_path: Path) -> None:
    made(tmp_path)
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="its sha256 is not the one in bundle.yaml"):
        bundle.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("temperature: 1.5", "temperature: -1"),
        ("size: 32", "size: 0"),
        ("backbone:", "backbones:"),
        ("fingerprint:", "finger:"),
    ],
)
def test_a_changed_setting_that_makes_no_sense_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    made(tmp_path)
    text = (tmp_path / "bundle.yaml").read_text()
    assert old in text
    (tmp_path / "bundle.yaml").write_text(text.replace(old, new))
    with pytest.raises(UserError, match="bundle.yaml is damaged"):
        bundle.load(tmp_path)


def test_a_bundle_holds_no_pickle(tmp_path: Path) -> None:
    made(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml", ".safetensors", ".txt"}


def test_the_newest_bundle_is_found_or_the_one_that_is_named(tmp_path: Path) -> None:
    for age, name in enumerate(["old", "new"]):
        folder = tmp_path / "train" / name / "time" / "bundle"
        made(folder, name)
        os.utime(folder / "bundle.yaml", (age, age))
    assert bundle.load(bundle.find(None, tmp_path)).name == "new"
    assert bundle.load(bundle.find(str(tmp_path / "train" / "old" / "time"))).name == "old"
    assert bundle.load(bundle.find(str(tmp_path / "train" / "old" / "time" / "bundle"))).name == "old"


def test_weights_of_another_network_are_noticed(tmp_path: Path) -> None:
    made(tmp_path)
    text = (tmp_path / "bundle.yaml").read_text()
    (tmp_path / "bundle.yaml").write_text(text.replace("test_resnet.r160_in1k", "test_efficientnet.r160_in1k"))
    with pytest.raises(UserError, match="does not fit the model in bundle.yaml"):
        bundle.load(tmp_path)
