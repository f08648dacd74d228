import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dfd.errors import UserError
from dfd.models import detector as detectors
from dfd.models.detector import build, build_to_fill, of_any_kind, preprocessing_of
from tests.factories import tiny_model, tiny_preprocessing


def images(n: int = 2, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_one_logit_an_image_through_the_features() -> None:
    detector = build(tiny_model(), tiny_preprocessing()).eval()
    logits, features = detector(images()), detector.features(images())
    assert logits.shape == (2,)
    assert features.shape == (2, detector.width)
    assert torch.equal(detector.classify(features), logits)


def test_normalisation_is_inside_the_network() -> None:
    detector = build(tiny_model(), tiny_preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))).eval()
    plain = (images().float() / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.4, 0.5, 0.6]).view(
        3, 1, 1
    )
    assert torch.allclose(detector.backbone(plain), detector.features(images()), atol=1e-5)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6))
def test_the_odds_of_the_kinds_add_up(units: list[float]) -> None:
    logit = of_any_kind(torch.tensor([units, units[::-1]], dtype=torch.float64))
    assert logit.shape == (2,)
    assert logit.exp().numpy() == pytest.approx(np.exp(units).sum(), rel=1e-9)


def test_a_new_head_of_any_size_holds_both_for_as_likely() -> None:
    torch.manual_seed(0)
    for units in (1, 5):
        detector = build(tiny_model(units=units), tiny_preprocessing())
        assert detector.classify(torch.zeros(1, detector.width)).item() == pytest.approx(0, abs=1e-6)


def test_preprocessing_is_the_backbones_own_unless_overridden() -> None:
    own = preprocessing_of(tiny_model(input_size=None))
    assert (own.size, own.interpolation, own.mean) == (160, "bilinear", (0.5, 0.5, 0.5))
    changed = preprocessing_of(tiny_model(input_size=48, mean=[0.0, 0.0, 0.0], interpolation="lanczos", fit="crop"))
    assert (changed.size, changed.mean, changed.interpolation, changed.fit) == (48, (0, 0, 0), "lanczos", "crop")


def test_a_transformer_takes_another_input_size() -> None:
    model = tiny_model(backbone="test_vit.r160_in1k")
    detector = build(model, tiny_preprocessing(size=64)).eval()
    assert detector(images(size=64)).shape == (2,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "resnet5"}, "model.backbone=resnet5 is no timm model; near: .*resnet50"),
        ({"backbone": "resnet50.typo"}, "model.backbone=resnet50.typo: .* accepted: resnet50.a1_in1k, .*resnet50.tv_"),
        ({"backbone": "regnetz_b16_evos.typo"}, "accepted: regnetz_b16_evos$"),
        ({"backbone": "convnext_tiny_in22ft1k"}, "model.backbone=convnext_tiny_in22ft1k .*; near: .*convnext_tiny"),
        ({"backbone": "test_vit.r160_in1k", "input_size": 50}, "takes multiples of 16"),
        ({"backbone": "vgg11.tv_in1k", "drop_path": 0.1}, "drop_path=0.1: .* has no stochastic depth"),
        ({"mean": [0.5, 0.5]}, "model.mean=.* has 2 numbers; accepted are 3"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(settings: dict, message: str) -> None:
    model = tiny_model(**settings)
    with pytest.raises(UserError, match=message):
        build(model, preprocessing_of(model))


def test_random_weights_depend_on_the_seed() -> None:
    def weights(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return build(tiny_model(), tiny_preprocessing()).head[1].weight.detach().numpy()

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_a_network_to_fill_takes_weights_and_is_the_same() -> None:
    made = build(tiny_model(), tiny_preprocessing()).eval()
    filled = build_to_fill(tiny_model(), tiny_preprocessing()).eval()
    assert next(filled.backbone.parameters()).is_meta
    filled.load_state_dict({key: value.clone() for key, value in made.state_dict().items()}, assign=True)
    assert torch.equal(filled(images()), made(images()))


def test_a_network_with_buffers_that_no_file_holds_is_built_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    create = detectors.create_backbone

    def with_table(*args: object) -> torch.nn.Module:
        backbone = create(*args)
        backbone.register_buffer("table", torch.ones(3), persistent=False)
        return backbone

    monkeypatch.setattr(detectors, "create_backbone", with_table)
    made = build_to_fill(tiny_model(), tiny_preprocessing())
    assert not any(value.is_meta for value in [*made.parameters(), *made.buffers()])
