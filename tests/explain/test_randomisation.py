import numpy as np
import pytest
import torch

from dfd.explain.randomisation import alikeness, randomised
from tests.factories import tiny_bundle, tiny_ensemble


def test_the_head_alone_or_all_layers_forget() -> None:
    bundle = tiny_bundle()
    kept = {key: value.clone() for key, value in bundle.detector.state_dict().items()}
    head, everything = (randomised(bundle, part, 0).detectors[0].state_dict() for part in ("head", "all"))
    assert all(torch.equal(bundle.detector.state_dict()[key], value) for key, value in kept.items())
    changed = {key for key in kept if not torch.equal(head[key], kept[key])}
    assert changed == {"head.1.weight"}
    assert not torch.equal(everything["backbone.layer4.0.conv1.weight"], kept["backbone.layer4.0.conv1.weight"])
    weights = [
        one["backbone.conv1.0.weight"] if "backbone.conv1.0.weight" in one else one["backbone.conv1.weight"]
        for one in (everything, kept)
    ]
    assert torch.equal(*(one.flatten().sort().values for one in weights))


def test_all_networks_of_an_ensemble_forget_each_its_own_way() -> None:
    ensemble = tiny_ensemble()
    first, second = randomised(ensemble, "head", 0).detectors
    assert not torch.equal(first.linear.weight, ensemble.detectors[0].linear.weight)
    assert not torch.equal(second.linear.weight, ensemble.detectors[1].linear.weight)
    again = randomised(ensemble, "head", 0).detectors[0]
    assert torch.equal(first.linear.weight, again.linear.weight)


def test_alike_maps_are_told_from_others() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 40, 40))
    assert alikeness(one, -3 * one) == pytest.approx(1)  # where, not which way
    assert abs(alikeness(one, other)) < 0.1
    assert np.isnan(alikeness(one, np.ones((40, 40))))
    one[:5] = np.nan
    assert alikeness(one, one) == pytest.approx(1)
