"""What a bundle or a GAN says of the data that it was trained on; a stranger may have written it."""

import pytest

from dfd.commands.data import data_config
from dfd.config import DataConfig


def test_settings_come_back_as_they_were() -> None:
    told = {"name": "x", "source": "a ${HOME} of ${oc.env:HOME}", "add": ["gan:${x}"], "min_side": "64"}
    assert data_config(told) == DataConfig(name="x", source=told["source"], add=["gan:${x}"], min_side=64)


@pytest.mark.parametrize(
    "told",
    [None, 3, "x", [1], {"nme": "x"}, {"name": "x", "add": 5}, {"name": "x", "min_side": "many"}, {"name": "../x"}],
)
def test_what_is_no_data_set_is_told(told: object) -> None:
    with pytest.raises(ValueError, match="."):
        data_config(told)
