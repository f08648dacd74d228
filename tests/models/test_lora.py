from pathlib import Path

import pytest
import torch
from timm.optim import param_groups_layer_decay

from dfd.errors import UserError
from dfd.inference.cache import digest_of
from dfd.models.detector import Detector, build
from dfd.models.lora import STRENGTH, LowRank, adapt, merge
from tests.factories import tiny_model, tiny_preprocessing

VIT = "test_vit.r160_in1k"


def adapted(**settings: object) -> Detector:
    torch.manual_seed(0)
    config = tiny_model(**{"backbone": VIT, "layers": [2, 4], "lora": 2, "lora_from": 3, **settings})
    return adapt(build(config, tiny_preprocessing(size=160)).eval(), config)


def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trained() -> Detector:
    detector = adapted()
    optimizer = torch.optim.SGD([each for each in detector.backbone.parameters() if each.requires_grad], lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        detector(images()).sum().backward()
        optimizer.step()
    return detector


def test_additions_begin_at_nothing() -> None:
    torch.manual_seed(0)
    plain = build(tiny_model(backbone=VIT, layers=[2, 4]), tiny_preprocessing(size=160)).eval()
    assert torch.equal(adapted()(images()), plain(images()))


def test_gradients_are_those_of_the_sum_written_out() -> None:
    torch.manual_seed(0)
    layer = LowRank(torch.nn.Linear(6, 5), 2).double()
    torch.nn.init.normal_(layer.up)
    inputs = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(layer(inputs), layer.merged()(inputs))
    assert torch.autograd.gradcheck(layer, inputs)
    taken = torch.autograd.grad(layer(inputs).square().sum(), [inputs, layer.down, layer.up])
    added = layer.base(inputs) + inputs @ layer.down.T @ layer.up.T * STRENGTH
    written = torch.autograd.grad(added.square().sum(), [inputs, layer.down, layer.up])
    assert all(torch.allclose(one, other) for one, other in zip(taken, written, strict=True))


def test_only_additions_of_the_chosen_blocks_are_trained() -> None:
    detector = adapted()
    learning = {name for name, each in detector.backbone.named_parameters() if each.requires_grad}
    assert learning and all(name.endswith((".down", ".up")) for name in learning)
    assert {name.split(".")[2] for name in learning} == {"2", "3"}  # blocks 3 and 4 of vit.blocks


def test_merged_the_network_is_an_ordinary_one_and_says_the_same() -> None:
    detector = trained()
    before = detector(images())
    assert not torch.allclose(before, adapted()(images()), atol=1e-3)  # it has learnt
    merged = merge(detector)
    assert not any(isinstance(module, LowRank) for module in merged.modules())
    assert torch.allclose(merged(images()), before, atol=1e-4)
    fresh = build(tiny_model(backbone=VIT, layers=[2, 4]), tiny_preprocessing(size=160)).eval()
    fresh.load_state_dict(merged.state_dict())
    assert torch.equal(fresh(images()), merged(images()))


def test_features_of_additions_that_are_still_nothing_are_those_of_the_plain_network() -> None:
    plain = build(tiny_model(backbone=VIT, layers=[2, 4]), tiny_preprocessing(size=160))
    fresh = adapted()
    plain.load_state_dict(merge(adapted()).state_dict())
    assert digest_of(fresh) == digest_of(plain)
    assert digest_of(trained()) != digest_of(plain)


def test_the_learning_rate_decays_by_block() -> None:
    detector = build(tiny_model(backbone=VIT, layers=[2, 4]), tiny_preprocessing(size=160))
    groups = param_groups_layer_decay(detector.backbone, layer_decay=0.5)
    assert len({group["lr_scale"] for group in groups}) == 5  # four blocks, and what comes before them


def test_a_network_without_additions_is_left_alone(tmp_path: Path) -> None:
    detector = build(tiny_model(), tiny_preprocessing())
    detector.backbone.requires_grad_(False)
    assert merge(detector) is detector
    assert not any(each.requires_grad for each in detector.backbone.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_from": 5}, "model.lora_from=5: tiny has 4 blocks"),
        ({"freeze": "backbone"}, "model.lora=2 changes the backbone, which model.freeze=backbone fixes"),
        ({"backbone": "test_resnet.r160_in1k", "layers": []}, "model.lora=2: tiny is no plain vision transformer"),
        ({"backbone": "beit_base_patch16_224", "layers": []}, "model.lora=2: tiny is no plain vision transformer"),
    ],
)
def test_what_can_t_be_adapted_is_told(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        adapted(**settings)
