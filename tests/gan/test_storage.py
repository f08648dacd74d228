from pathlib import Path

import pytest
import torch

from dfd.errors import UserError
from dfd.gan import storage
from dfd.gan.generator import Generator, GeneratorShape
from dfd.gan.storage import CARD, FOLDER, WEIGHTS, Saved

SHAPE = GeneratorShape(resolution=32, latent=16, mapping_layers=1, channel_base=256, channel_max=8)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    folder = tmp_path / "outputs" / "gan-train" / "x" / "1"
    storage.save(Saved("x", Generator(SHAPE), {"name": "demo"}, "f00d", {"kimg": 3}), folder)
    return folder


def test_a_generator_comes_back_whole(run: Path) -> None:
    torch.manual_seed(0)
    same, saved = Generator(SHAPE).eval(), storage.load(run)
    z = torch.randn(2, 16)
    assert torch.equal(saved.generator(z), same(z))
    assert (saved.name, saved.data, saved.fingerprint, saved.training) == ("x", {"name": "demo"}, "f00d", {"kimg": 3})
    assert saved.resolution == 32
    assert not any(parameter.requires_grad for parameter in saved.generator.parameters())


def test_the_newest_finished_one_is_found(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished GAN"):
        storage.find(None, tmp_path / "outputs")
    (run / "metrics.json").touch()
    assert storage.find(None, tmp_path / "outputs") == run
    assert storage.find(str(run)) == run


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished GAN under .*; run `dfd gan train` first"):
        storage.find(None, tmp_path)
    with pytest.raises(UserError, match=f"run={tmp_path}: no generator/generator.yaml there"):
        storage.find(str(tmp_path))


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_a_missing_file_is_told(run: Path, name: str) -> None:
    (run / FOLDER / name).unlink()
    with pytest.raises(UserError, match=f"{name} is damaged or missing"):
        storage.load(run)


def test_a_flipped_bit_is_noticed(run: Path) -> None:
    file = run / FOLDER / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="its sha256 is not the one in"):
        storage.load(run)


def test_a_shape_that_the_weights_do_not_fit_is_told(run: Path) -> None:
    file = run / FOLDER / CARD
    file.write_text(file.read_text().replace("latent: 16", "latent: 32"))
    with pytest.raises(UserError, match="does not fit the shape"):
        storage.load(run)
