import hashlib
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfd import sealed
from dfd.ensemble.combiners import Mean
from dfd.errors import UserError
from dfd.evaluation.calibration import Calibration
from dfd.models import bundle
from dfd.models.detector import build
from tests.factories import tiny_model, tiny_preprocessing


def made(folder: Path, name: str = "first") -> bundle.Bundle:
    one = bundle.DetectorBundle(
        name=name,
        model=tiny_model(),
        detector=build(tiny_model(), tiny_preprocessing()).eval(),
        calibration=Calibration(1.5, 0.1, 0.45, 0.4, 0.5),
        max_pixels=12345,
        data={"name": "tiny", "fingerprint": "abc", "train": 2, "val": 1},
        training={"seconds": 1.0, "device": "cpu", "weights": "random"},
        metrics={"auroc": 0.5},
        config="data: {}\n",
        seen=bundle.seen_in(pd.DataFrame({"sha256": ["a" * 64, "b" * 64]})),
        versions=bundle.versions(),
    )
    bundle.save(one, folder)
    return one


def rewrite(folder: Path, old: str, new: str) -> None:
    """Change bundle.yaml as another version of dfd might have written it: with the checksum that belongs to it."""
    head = (folder / "bundle.yaml").read_text().rpartition(sealed.CHECKSUM)[0]
    assert old in head
    head = head.replace(old, new)
    digest = hashlib.sha256(head.encode()).hexdigest()
    (folder / "bundle.yaml").write_text(f"{head}{sealed.CHECKSUM}{digest}\n")


def test_a_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    saved, loaded = made(tmp_path), bundle.load(tmp_path)
    assert isinstance(loaded, bundle.DetectorBundle)
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
        ("val:", "value:"),
        ("device:", "devise:"),
    ],
)
def test_a_setting_that_makes_no_sense_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    made(tmp_path)
    rewrite(tmp_path, old, new)
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
    for age, name in enumerate(["newer", "older"]):
        folder = tmp_path / "train" / "two" / name / "bundle"
        made(folder, name)
        os.utime(folder / "bundle.yaml", (-age, -age))
    assert bundle.load(bundle.find(str(tmp_path / "train" / "two"))).name == "newer"
    with pytest.raises(UserError, match="accepted is a bundle, the folder of a finished run, or one of several runs"):
        bundle.find(str(tmp_path / "train"))


def test_weights_of_another_network_are_noticed(tmp_path: Path) -> None:
    made(tmp_path)
    rewrite(tmp_path, "test_resnet.r160_in1k", "test_efficientnet.r160_in1k")
    with pytest.raises(UserError, match="does not fit the model in bundle.yaml"):
        bundle.load(tmp_path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_in_any_file_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "bundle"
    if not folder.exists():
        made(folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
    try:
        with pytest.raises(UserError, match="damaged"):
            bundle.load(folder)
    finally:
        path.write_bytes(content)


def test_an_ensemble_comes_back_with_its_members(tmp_path: Path) -> None:
    members = (made(tmp_path / "a", "a"), made(tmp_path / "b", "b"))
    common = {
        key: getattr(members[0], key)
        for key in ("calibration", "max_pixels", "data", "training", "metrics", "config", "seen", "versions")
    }
    one = bundle.EnsembleBundle(name="both", members=members, combiner=Mean((0.25, 0.75), "logit"), **common)
    bundle.save(one, tmp_path / "both", [tmp_path / "a", tmp_path / "b"])
    loaded = bundle.load(tmp_path / "both")
    assert isinstance(loaded, bundle.EnsembleBundle)
    assert [member.name for member in loaded.members] == ["a", "b"] and loaded.combiner == one.combiner
    shutil.rmtree(tmp_path / "both" / "members" / "1")
    with pytest.raises(UserError, match="members/1 is missing: member 2 of the ensemble both"):
        bundle.load(tmp_path / "both")
    shutil.copytree(tmp_path / "a", tmp_path / "both" / "members" / "1")
    with pytest.raises(UserError, match="members/1/bundle.yaml is damaged"):
        bundle.load(tmp_path / "both")
