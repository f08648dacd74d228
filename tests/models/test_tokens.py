import pytest
import torch

from dfd.errors import UserError
from dfd.inference.cache import digest_of
from dfd.models.detector import Detector, build, build_to_fill
from tests.factories import tiny_model, tiny_preprocessing

VIT = "test_vit.r160_in1k"


def layered(*layers: int, size: int = 160) -> Detector:
    torch.manual_seed(0)
    return build(tiny_model(backbone=VIT, layers=list(layers)), tiny_preprocessing(size=size)).eval()


def images(size: int = 160) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [160, 64])
def test_features_are_class_token_mean_and_deviation_of_each_block(size: int) -> None:
    detector, blocks = layered(2, 5, size=size), []
    vit = detector.backbone.vit
    for block in vit.blocks:
        block.register_forward_hook(lambda *call: blocks.append(call[2]))
    features = detector.features(images(size))
    wanted = []
    for number in (2, 5):
        patches = blocks[number - 1][:, 1:]
        wanted += [blocks[number - 1][:, 0], patches.mean(1), patches.std(1)]
    assert torch.allclose(features, torch.cat(wanted, 1), atol=1e-5)
    assert features.shape == (2, detector.width)
    assert len(vit.blocks) == 5  # what comes after the last block that counts is not computed


def test_the_cache_tells_blocks_apart() -> None:
    assert digest_of(layered(1, 5)) != digest_of(layered(2, 5))
    assert digest_of(layered(1, 5)) == digest_of(layered(1, 5))


def test_weights_go_into_an_empty_network() -> None:
    made = layered(1, 3)
    filled = build_to_fill(tiny_model(backbone=VIT, layers=[1, 3]), tiny_preprocessing(size=160))
    filled.load_state_dict(made.state_dict(), assign=True)
    assert torch.equal(filled.eval()(images()), made(images()))


@pytest.mark.parametrize(
    ("backbone", "layers", "message"),
    [
        (VIT, [2, 1], "accepted are rising numbers from 1 to 6"),
        (VIT, [2, 2], "accepted are rising numbers"),
        (VIT, [7], "accepted are rising numbers from 1 to 6"),
        ("test_resnet.r160_in1k", [1], "is no plain vision transformer with class token"),
        ("vit_base_patch16_siglip_224", [1], "is no plain vision transformer with class token"),
    ],
)
def test_other_layers_are_refused(backbone: str, layers: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(tiny_model(backbone=backbone, layers=layers), tiny_preprocessing(size=160))
