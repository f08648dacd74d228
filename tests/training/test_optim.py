import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfd.config import TrainerConfig
from dfd.models.detector import build
from dfd.training.optim import optimizer_of, schedule, set_learning_rate
from tests.factories import tiny_model, tiny_preprocessing


def detector() -> torch.nn.Module:
    return build(tiny_model(), tiny_preprocessing())


@given(st.integers(0, 99), st.floats(0, 1), st.sampled_from(["cosine", "constant"]))
def test_the_rate_stays_between_0_and_its_peak(step: int, warmup: float, shape: str) -> None:
    assert 0 <= schedule(TrainerConfig(warmup=warmup, schedule=shape), step, 100) <= 1


def test_the_rate_rises_then_falls() -> None:
    rates = [schedule(TrainerConfig(warmup=0.1), step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == 1 and rates[-1] < 0.001


@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd"}, {"layer_decay": 0.5}])
def test_every_parameter_is_trained_once(settings: dict) -> None:
    model = detector()
    optimizer = optimizer_of(model, TrainerConfig(**settings))
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


def test_a_frozen_backbone_is_left_out() -> None:
    model = detector()
    model.backbone.requires_grad_(False)
    optimizer = optimizer_of(model, TrainerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


def test_no_weight_decay_on_norms_and_biases() -> None:
    for group in optimizer_of(detector(), TrainerConfig(weight_decay=0.1)).param_groups:
        expected = 0.0 if group["params"][0].ndim <= 1 else 0.1
        assert group["weight_decay"] == expected


def test_backbone_and_layers_get_their_share_of_the_rate() -> None:
    config = TrainerConfig(lr=1.0, backbone_lr_scale=0.1, layer_decay=0.5, warmup=0)
    model = detector()
    optimizer = optimizer_of(model, config)
    assert set_learning_rate(optimizer, config, 0, 10) == 1.0
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert rates[id(model.head[1].weight)] == 1.0
    assert rates[id(model.backbone.conv1[0].weight)] < rates[id(model.backbone.layer4[0].conv1.weight)] <= 0.1
