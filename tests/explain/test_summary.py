import numpy as np
import pandas as pd
import pytest

from dfd.config import EvaluationConfig
from dfd.explain.summary import summarise

SETTINGS = EvaluationConfig(resamples=200)


def table(n: int = 20, better: float = 0.1, regions: bool = True, alike: bool = True) -> pd.DataFrame:
    """A method that beats smooth random maps by `better`, and points right always."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(n):
        level, fake = rng.uniform(0.4, 0.6), number % 2
        known = regions and fake
        common = {
            "path": f"{number:03}.png",
            "label": fake,
            "source": "a" if number % 4 < 2 else "b",
            "group": str(number // 2 if number < 4 else number),
            "prob": 0.8 if fake else 0.1,
            "called_fake": bool(fake),
            "area": 0.2 if known else np.nan,
            "middle": 0.0 if known else np.nan,
            "deletion_curve": [0.8, 0.5],
            "insertion_curve": [0.5, 0.8],
        }
        for method, ahead in (("gradcam", better), ("random_smooth", 0.0), ("random_noise", 0.0)):
            jitter = rng.normal(0, 0.01)
            rows.append(
                {
                    **common,
                    "method": method,
                    "deletion": level - ahead + jitter,
                    "insertion": level + ahead + jitter,
                    "pointing": float(method == "gradcam") if known else np.nan,
                    "alike_head": 0.1 if alike and method == "gradcam" else np.nan,
                    "alike_all": 0.2 if alike and method == "gradcam" else np.nan,
                }
            )
    return pd.DataFrame(rows)


def test_differences_are_paired_and_told_from_chance() -> None:
    found = summarise(table(), ["gradcam"], SETTINGS)["methods"]["gradcam"]
    apart = found["against"]["random_smooth"]
    assert apart["deletion"]["high"] < 0 < apart["insertion"]["low"]
    assert apart["deletion"]["value"] == pytest.approx(-0.1, abs=0.01) and apart["deletion"]["n"] == 20
    # The level differs from image to image, which is no part of a paired difference.
    assert apart["deletion"]["high"] - apart["deletion"]["low"] < found["deletion"]["high"] - found["deletion"]["low"]
    equal = summarise(table(better=0.0), ["gradcam"], SETTINGS)["methods"]["gradcam"]["against"]["random_smooth"]
    assert equal["deletion"]["low"] < 0 < equal["deletion"]["high"]


def test_pointing_is_compared_with_all_its_floors_on_the_same_fakes() -> None:
    found = summarise(table(), ["gradcam"], SETTINGS)["pointing"]
    assert list(found) == ["all fakes", "fakes called fake", "a", "b"]
    everything = found["all fakes"]
    assert everything["n"] == 10 and everything["hits"]["gradcam"]["value"] == 1
    assert everything["hits"]["gradcam"]["low"] < 0.9  # ten fakes can't prove more
    assert {name: one["value"] for name, one in everything["against"]["gradcam"].items()} == pytest.approx(
        {"area": 0.8, "random_smooth": 1.0, "middle": 1.0}
    )


def test_without_known_parts_and_shuffled_weights_nothing_is_claimed() -> None:
    found = summarise(table(regions=False, alike=False), ["gradcam"], SETTINGS)
    assert found["pointing"] is None
    assert found["methods"]["gradcam"]["alike"]["all"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "too few images",
        "n": 0,
    }


def test_the_answer_is_that_of_the_class_which_was_called() -> None:
    found = summarise(table(), ["gradcam"], SETTINGS)
    assert found["answer"]["value"] == pytest.approx((0.8 + 0.9) / 2)
    assert (found["n"], found["n_fake"], found["n_called_fake"]) == (20, 10, 10)


def test_a_handful_of_images_proves_nothing() -> None:
    found = summarise(table(n=8, better=0.3), ["gradcam"], SETTINGS)  # four of a class; in each the method is better
    assert found["n_groups"] == {"fake": 4, "real": 4}
    apart = found["methods"]["gradcam"]["against"]["random_smooth"]["deletion"]
    assert apart["value"] == pytest.approx(-0.3, abs=0.02)
    assert (apart["low"], apart["high"]) == (None, None) and "4 independent of a class" in apart["reason"]
    pointing = found["pointing"]["all fakes"]
    for figure in (pointing["hits"]["gradcam"], *pointing["against"]["gradcam"].values()):
        assert figure["value"] is not None and figure["low"] is None


def test_many_images_of_few_groups_are_a_handful() -> None:
    many = table(n=40)
    many["group"] = many["label"].astype(str) + (many["path"].str[:3].astype(int) % 3).astype(str)
    found = summarise(many, ["gradcam"], SETTINGS)
    assert found["methods"]["gradcam"]["deletion"]["low"] is None
    assert found["pointing"]["all fakes"]["hits"]["gradcam"]["low"] is None


def test_resamples_that_all_agree_give_no_interval() -> None:
    found = summarise(table(n=40), ["gradcam"], SETTINGS)
    alike = found["methods"]["gradcam"]["alike"]["all"]  # 0.2 on every image
    assert alike["value"] == pytest.approx(0.2) and alike["low"] is None and "agree" in alike["reason"]
    against = found["pointing"]["all fakes"]["against"]["gradcam"]["middle"]
    assert against["value"] == 1 and against["low"] is None
    # A share has Wilson's interval, which does not need the resamples to differ.
    assert found["pointing"]["all fakes"]["hits"]["gradcam"]["low"] < 1
