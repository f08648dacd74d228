from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from dfd.config import METHODS
from dfd.ensemble.combiners import Mean
from dfd.ensemble.outputs import Outputs
from dfd.explain.maps import COMBINED, explain
from dfd.models.bundle import EnsembleBundle
from dfd.runtime import Runtime
from tests.explain.conftest import SIDE, corner_bundle
from tests.factories import tiny_bundle, tiny_ensemble

HALF = SIDE // 2


@dataclass(frozen=True)
class Against:
    """An ensemble that says the opposite of its first member."""

    kind: ClassVar[str] = "against"
    needs_features: ClassVar[bool] = False
    size: int = 2

    def score(self, outputs: Outputs) -> np.ndarray:
        return -outputs.logits[:, 0]

    def describe(self) -> dict[str, Any]:
        return {}


def corner_share(values: np.ndarray) -> float:
    """Share of a map's absolute strength in the corner that the detector looks at."""
    strength = np.abs(values)
    return float(strength[:HALF, :HALF].sum() / strength.sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_map_shows_what_the_answer_hangs_on_and_for_which_class(
    runtime: Runtime, noise: np.ndarray, method: str, sign: float
) -> None:
    (found,) = explain(corner_bundle(sign), noise, method, runtime, samples=200)
    assert found.values.dtype == np.float32 and found.values.shape == (SIDE, SIDE)
    assert corner_share(found.values) > 0.6  # a quarter of the picture
    assert sign * found.values[:HALF, :HALF].mean() > 0


def test_a_random_map_does_not(runtime: Runtime, noise: np.ndarray) -> None:
    shares = [corner_share(explain(corner_bundle(), noise, "random", runtime, seed=n)[0].values) for n in range(8)]
    assert np.mean(shares) < 0.4


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_map(runtime: Runtime, noise: np.ndarray, method: str) -> None:
    first, again, other = (
        explain(corner_bundle(), noise, method, runtime, samples=20, seed=seed)[0].values for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (method not in ("shap", "lime"))


@pytest.mark.parametrize("method", ["shap", "integrated_gradients"])
def test_shares_add_up_to_what_the_detail_is_worth(runtime: Runtime, noise: np.ndarray, method: str) -> None:
    one, twice = (
        explain(corner_bundle(sign), noise, method, runtime, samples=50)[0].values.sum() for sign in (1.0, 2.0)
    )
    assert twice == pytest.approx(2 * one, rel=1e-3) and one > 0


def test_an_ensemble_has_its_own_map_first_and_one_of_each_network(runtime: Runtime, noise: np.ndarray) -> None:
    maps = explain(tiny_ensemble(), noise[:40], "gradcam", runtime)
    assert [found.network for found in maps] == [COMBINED, "first", "second"]
    assert all(found.values.shape == (40, SIDE) for found in maps)
    assert sum(found.share for found in maps[1:]) == pytest.approx(1)
    assert np.isfinite(maps[0].values).all() and np.isnan(maps[2].values).any()  # the second sees the middle square


def test_a_member_that_has_no_say_has_no_part_in_the_map(runtime: Runtime, noise: np.ndarray) -> None:
    whole, first, _ = explain(tiny_ensemble(Mean((1.0, 0.0), "logit")), noise, "gradcam", runtime)
    assert first.share == 1
    assert np.corrcoef(whole.values.ravel(), first.values.ravel())[0, 1] == pytest.approx(1)


def test_a_member_that_is_read_the_other_way_round_has_its_map_turned_round(
    runtime: Runtime, noise: np.ndarray
) -> None:
    members = (corner_bundle(name="a"), corner_bundle(name="b"))
    ensemble = replace(tiny_ensemble(), members=members, combiner=Against())
    whole, first, second = explain(ensemble, noise, "gradcam", runtime)
    assert first.values[:HALF, :HALF].mean() > 0 > whole.values[:HALF, :HALF].mean()
    assert (first.share, second.share) == (1, 0)


def test_no_say_of_any_network_alone_counts_them_alike(runtime: Runtime) -> None:
    flat = np.full((SIDE, SIDE, 3), 100, np.uint8)  # blurred, it is the same
    ensemble = replace(tiny_ensemble(Mean((0.5, 0.5), "logit")))
    assert isinstance(ensemble, EnsembleBundle)
    found = explain(ensemble, flat, "gradcam", runtime)
    assert [each.share for each in found[1:]] == [0.5, 0.5]
    assert all(each.alike for each in found)


def test_networks_that_move_the_answer_do_not_count_alike(runtime: Runtime, noise: np.ndarray) -> None:
    assert not any(each.alike for each in explain(tiny_ensemble(), noise, "gradcam", runtime))


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_maps_with_short_sides_are_the_full_ones_made_smaller(runtime: Runtime, method: str) -> None:
    """Also where a crop's fine map cancels itself out as it shrinks: it may not count for more by that."""
    image = np.random.default_rng(0).integers(0, 256, (96, 192, 3)).astype(np.uint8)
    members = (tiny_bundle("a", 0, size=96, fit="crop"), tiny_bundle("b", 1, size=96))
    ensemble = replace(tiny_ensemble(), members=members)
    full, small = (explain(ensemble, image, method, runtime, samples=20, longest=side) for side in (None, 48))
    assert [found.values.shape for found in full] == [(96, 192)] * 3
    assert [found.values.shape for found in small] == [(24, 48)] * 3
    assert [found.share for found in small] == [found.share for found in full]
    for one, other in zip(full, small, strict=True):
        wanted = one.values.reshape(24, 4, 48, 4).mean(axis=(1, 3))
        assert np.allclose(other.values, wanted, rtol=1e-3, atol=1e-4 * np.nanmax(np.abs(wanted)), equal_nan=True)


def test_maps_that_are_short_enough_stay_as_they_are(runtime: Runtime, noise: np.ndarray) -> None:
    full, same = (explain(tiny_ensemble(), noise, "gradcam", runtime, longest=side) for side in (None, SIDE))
    for one, other in zip(full, same, strict=True):
        assert np.array_equal(one.values, other.values, equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (500, 17)])
@pytest.mark.parametrize("method", METHODS)
def test_pictures_of_any_shape_have_maps(runtime: Runtime, method: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    image.setflags(write=False)
    (found,) = explain(tiny_bundle(), image, method, runtime, samples=10)
    assert found.values.shape == shape and np.isfinite(found.values).all()
