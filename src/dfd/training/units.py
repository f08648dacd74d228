"""How many units a detector's head has, and what each is for. See `dfd.models.detector.of_any_kind`."""

from dataclasses import replace

from dfd.config import MOST_UNITS, TrainConfig
from dfd.data.manifest import Manifest
from dfd.errors import UserError
from dfd.training.splits import fake_sources

SHOWN = 6  # names of sources


def check_units(config: TrainConfig) -> None:
    """Raise UserError for settings that a head of several units does not go with."""
    units = config.model.units
    if units != 1 and config.cv.folds:
        raise UserError(
            f"model.units={units} with cv.folds={config.cv.folds}: the heads of folds are scaled and averaged, which "
            "heads of several units can't be; accepted is model.units=1"
        )
    if units != 1 and config.trainer.solver == "logistic" and config.augment.splices > 0:
        raise UserError(
            f"model.units={units} with trainer.solver=logistic fits a unit to each source of fakes, and "
            f"augment.splices={config.augment.splices} makes fakes of none; accepted is augment.splices=0, or "
            "model.units=1"
        )


def with_units(config: TrainConfig, manifest: Manifest) -> TrainConfig:
    """The settings with the number that `model.units=0` stands for.

    Raises UserError if logistic regression, which fits a unit to each source of fakes, finds more or fewer sources.
    """
    units = config.model.units
    if units == 1:
        return config
    sources = fake_sources(manifest.rows("train"))
    if units == 0 and len(sources) > MOST_UNITS:
        raise UserError(
            f"model.units=0: the training data hold fakes of {len(sources)} sources; accepted are {MOST_UNITS} at "
            "most, or model.units=1"
        )
    fits = config.trainer.solver == "logistic" or config.trainer.head_c > 0
    if units > 1 and fits and units != len(sources):
        instead = "" if config.trainer.solver == "logistic" else ", or any number with trainer.head_c=0"
        raise UserError(
            f"model.units={units}: logistic regression fits a unit to each source of fakes, and the training data hold "
            f"{len(sources)}: {_names(sources)}; accepted is {len(sources)}, 0 or 1{instead}"
        )
    return replace(config, model=replace(config.model, units=units or len(sources)))


def told(config: TrainConfig, manifest: Manifest) -> str:
    """The head in words, with what its units are fitted to at first."""
    sources = fake_sources(manifest.rows("train"))
    names = f": {_names(sources)}" if len(sources) == config.model.units else ""
    return f"{config.model.units} units{names}"


def _names(sources: list[str]) -> str:
    more = len(sources) - SHOWN
    return ", ".join(sources[:SHOWN]) + (f" and {more} more" if more > 0 else "")
