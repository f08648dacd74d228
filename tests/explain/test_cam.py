import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import RawScoresOutputTarget
from torch import nn

from dfd.data.dataset import image_tensor
from dfd.data.pixels import as_pixels
from dfd.errors import UserError
from dfd.explain.maps import explain
from dfd.gan.discriminator import DiscriminatorShape
from dfd.models.bundle import Bundle, DetectorBundle
from dfd.models.detector import build
from dfd.runtime import Runtime
from tests.factories import tiny_bundle, tiny_model, tiny_preprocessing


def with_backbone(backbone: str, size: int) -> DetectorBundle:
    made = tiny_bundle()
    torch.manual_seed(0)
    is_gan = DiscriminatorShape.is_name(backbone)
    preprocessing = as_pixels(size) if is_gan else tiny_preprocessing(size=size)
    detector = build(tiny_model(backbone=backbone, input_size=size), preprocessing).eval()
    return replace(made, detector=detector)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def test_of_a_pooled_network_the_map_adds_up_to_the_logit(runtime: Runtime, picture: np.ndarray) -> None:
    bundle = tiny_bundle(size=64)
    (found,) = explain(bundle, picture, "gradcam", runtime)
    detector = bundle.detector
    with torch.no_grad():
        logit = detector(image_tensor(picture)[None]) - detector.linear.bias
    # A feature map has 2 x 2 places at this size, and each becomes 32 x 32 pixels; bilinear growth keeps the mean.
    assert float(found.values.mean()) * 4 == pytest.approx(float(logit), rel=1e-3)


def test_its_positive_part_is_that_of_the_package(runtime: Runtime, picture: np.ndarray) -> None:
    bundle = with_backbone("test_resnet.r160_in1k", 128)
    detector = bundle.detector
    big = np.kron(picture, np.ones((2, 2, 1), np.uint8))
    (found,) = explain(bundle, big, "gradcam", runtime)
    pixels = image_tensor(big)[None].float().requires_grad_()
    with GradCAM(detector, [detector.backbone.layer4]) as cam:
        theirs = cam(pixels, targets=[RawScoresOutputTarget()])[0]
    ours = np.maximum(found.values, 0)
    assert ours.max() > 0
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("test_efficientnet.r160_in1k", 64),
        ("test_vit.r160_in1k", 160),
        ("test_convnext.r160_in1k", 64),
        ("gan_discriminator-r32-b256-m8-g4-both", 32),
    ],
)
@pytest.mark.parametrize("method", ["gradcam", "gradcampp"])
def test_every_kind_of_backbone_has_a_map(
    runtime: Runtime, picture: np.ndarray, backbone: str, size: int, method: str
) -> None:
    (found,) = explain(with_backbone(backbone, size), picture, method, runtime)
    assert found.values.shape == (64, 64) and np.isfinite(found.values).all() and found.values.std() > 0


def test_a_network_without_feature_maps_is_refused(runtime: Runtime, picture: np.ndarray) -> None:
    bundle = tiny_bundle(size=64)
    width = bundle.detector.width
    layers = [layer for _ in range(4) for layer in (nn.Linear(width, width), nn.ReLU())]
    bundle.detector.backbone = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.Flatten(), nn.Linear(64, width), *layers)
    with pytest.raises(UserError, match=r"tiny has no feature map .* accepted are method=shap, lime"):
        explain(bundle, picture, "gradcam", runtime)


def state_of(bundle: Bundle) -> list[object]:
    modules = [module for detector in bundle.detectors for module in detector.modules()]
    parameters = [one for detector in bundle.detectors for one in detector.parameters()]
    return [
        [module.training for module in modules],
        [len(module._forward_hooks) for module in modules],
        [(one.requires_grad, one.grad is None, one.detach().flatten().tolist()[:3]) for one in parameters],
    ]


@pytest.mark.parametrize("method", ["gradcam", "gradcampp", "shap", "lime", "occlusion", "integrated_gradients"])
def test_networks_are_left_as_they_were(runtime: Runtime, picture: np.ndarray, method: str) -> None:
    bundle = tiny_bundle()
    bundle.detector.train()
    next(bundle.detector.backbone.parameters()).requires_grad_(False)
    before, drawn = state_of(bundle), torch.get_rng_state()
    explain(bundle, picture, method, runtime, samples=10)
    assert state_of(bundle) == before and torch.equal(torch.get_rng_state(), drawn)


def test_another_thread_may_use_the_network_meanwhile(runtime: Runtime, picture: np.ndarray) -> None:
    bundle = tiny_bundle(size=64)
    alone = explain(bundle, picture, "gradcam", runtime)[0].values
    here, used = threading.get_ident(), []

    def use() -> None:
        with torch.inference_mode():
            used.append(bundle.detector(torch.randint(0, 256, (4, 3, 96, 96)).float()))

    def meanwhile(*_: object) -> None:
        if threading.get_ident() == here:
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()

    hook = bundle.detector.backbone.global_pool.register_forward_hook(meanwhile)  # after the last feature map
    found = explain(bundle, picture, "gradcam", runtime)[0].values
    hook.remove()
    assert used and np.allclose(found, alone, atol=1e-5)
