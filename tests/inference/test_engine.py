import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from dfd.config import RuntimeConfig
from dfd.data.dataset import Images, image_tensor
from dfd.data.decode import read_image
from dfd.data.transforms import Joint
from dfd.inference.engine import TorchEngine, detectors_of
from dfd.inference.forward import compute_logits
from dfd.inference.score import score
from dfd.models.bundle import EnsembleBundle
from dfd.runtime import Runtime, start
from tests.factories import tiny_bundle, tiny_ensemble, tiny_preprocessing, two_class_folder


@pytest.fixture
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(two_class_folder(tmp_path_factory.mktemp("images"), each=3).rglob("*.png"))


def test_one_reading_gives_each_network_the_input_it_wants(paths: list[Path]) -> None:
    forms = (tiny_preprocessing(), tiny_preprocessing(size=48, fit="crop"), tiny_preprocessing(size=64))
    image = read_image(paths[0], 10**6)
    batch = image_tensor(Joint(forms)(image))[None].repeat(2, 1, 1, 1)
    for part, form in zip(Joint(forms).parts(batch), forms, strict=True):
        assert torch.equal(part[1], image_tensor(form(image)))


@pytest.mark.parametrize("channels_last", [True, False])
def test_an_ensemble_of_different_inputs_says_what_its_members_say(
    paths: list[Path], runtime: Runtime, channels_last: bool
) -> None:
    runtime = dataclasses.replace(runtime, channels_last=channels_last)
    bundle = tiny_ensemble()
    engine = TorchEngine(bundle, runtime)
    logits, errors = score(engine, lambda joint: Images(paths, joint, 10**6), 4, runtime)
    alone = np.stack(
        [
            compute_logits(one, Images(paths, one.preprocessing, 10**6), 4, runtime)[0].astype(np.float64)
            for one in bundle.detectors
        ]
    )
    assert not errors and np.ptp(logits) > 0.01
    calibrated = np.stack([member.calibration.prob(own) for member, own in zip(bundle.members, alone, strict=True)])
    assert np.allclose(expit(logits), calibrated.mean(axis=0), atol=1e-5)
    assert np.allclose(logits, logit(calibrated.mean(axis=0)), atol=1e-4)
    inputs = torch.stack([image_tensor(engine.joint(read_image(path, 10**6))) for path in paths])
    with torch.inference_mode():
        values = engine(inputs).numpy()
    assert np.allclose(engine.member_logits(values).T, alone, atol=1e-4)
    assert np.allclose(engine.logits(values), logits, atol=1e-4)


def test_a_single_network_is_its_own_member(paths: list[Path], runtime: Runtime) -> None:
    engine = TorchEngine(tiny_bundle(), runtime)
    inputs = torch.stack([image_tensor(engine.joint(read_image(path, 10**6))) for path in paths])
    with torch.inference_mode():
        values = engine(inputs).numpy()
    assert engine.width == 1 and np.array_equal(engine.member_logits(values)[:, 0], engine.logits(values))


def test_networks_have_names_that_tell_them_apart() -> None:
    inner = tiny_ensemble()
    outer = EnsembleBundle(**{**vars(inner), "name": "outer", "members": (inner, tiny_bundle("third", 2))})
    assert [name for name, _ in detectors_of(outer)] == ["both/0", "both/1", "third"]
