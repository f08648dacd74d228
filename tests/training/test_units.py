"""How many units a head gets, by what the data hold."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from dfd.config import AugmentConfig, DataConfig, TrainConfig, TrainerConfig
from dfd.errors import UserError
from dfd.training.units import told, with_units
from tests.factories import tiny_model


def config_of(units: int, head_c: float = 0.0) -> TrainConfig:
    return TrainConfig(
        name="units",
        data=DataConfig(name="made"),
        model=tiny_model(units=units),
        augment=AugmentConfig(name="none"),
        trainer=TrainerConfig(head_c=head_c),
    )


def manifest_of(sources: list[Any]) -> Any:
    table = pd.DataFrame({"label": [0, *[1] * len(sources)], "source": ["camera", *sources]})
    return SimpleNamespace(rows=lambda split: table)


def test_a_unit_for_each_source_of_fakes() -> None:
    manifest = manifest_of(["swapped", "generated", "swapped"])
    config = with_units(config_of(0), manifest)
    assert config.model.units == 2
    assert told(config, manifest) == "2 units: generated, swapped"


def test_fakes_of_unknown_source_are_a_source() -> None:
    assert with_units(config_of(0), manifest_of(["swapped", None, float("nan")])).model.units == 2


def test_a_number_that_the_start_can_not_fit_is_refused() -> None:
    manifest = manifest_of(["swapped", "generated"])
    with pytest.raises(UserError, match=r"hold 2: generated, swapped; accepted is 2, 0 or 1, or any number with"):
        with_units(config_of(3, head_c=1.0), manifest)
    assert with_units(config_of(3), manifest).model.units == 3


def test_too_many_sources_are_told_before_anything_is_trained() -> None:
    with pytest.raises(UserError, match="fakes of 65 sources; accepted are 64 at most"):
        with_units(config_of(0), manifest_of([f"film {number}" for number in range(65)]))
    assert with_units(config_of(1), manifest_of([f"film {number}" for number in range(65)])).model.units == 1
