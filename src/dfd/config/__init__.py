"""The settings of every command, as dataclasses, and the checks on their values.

The YAML files in `configs/` fill these in; Hydra rejects a key or a type that is not here, and
`check` rejects a value out of its range. `help` texts, choices and ranges live beside the fields,
so that `dfd COMMAND --help` and the error messages come from one place. Imports no torch.
"""

from dfd.config.audit import AuditConfig, EncoderConfig
from dfd.config.data import DataConfig, PrepareConfig
from dfd.config.ensemble import STRATEGIES, EnsembleConfig, StrategyConfig
from dfd.config.evaluation import (
    CalibrationConfig,
    ChangesConfig,
    CompareConfig,
    EvalConfig,
    EvaluationConfig,
    FidConfig,
    RobustnessConfig,
)
from dfd.config.gan import (
    REDRAWERS,
    AdaConfig,
    GanConfig,
    GanGenerateConfig,
    GanProjectConfig,
    GanRedrawConfig,
    GanTrainConfig,
)
from dfd.config.literal import literal
from dfd.config.runtime import BACKEND_HELP, BACKENDS, RuntimeConfig
from dfd.config.setting import accepted_range, check, setting
from dfd.config.training import (
    MOST_UNITS,
    AugmentConfig,
    CrossValidationConfig,
    FeaturesConfig,
    ModelConfig,
    TrainConfig,
    TrainerConfig,
)
from dfd.config.use import METHODS, ExplainConfig, ExportConfig, PredictConfig, ScoreConfig, ServeConfig, VideoConfig

__all__ = [
    "AdaConfig",
    "AuditConfig",
    "AugmentConfig",
    "BACKENDS",
    "BACKEND_HELP",
    "CalibrationConfig",
    "ChangesConfig",
    "CompareConfig",
    "CrossValidationConfig",
    "DataConfig",
    "EncoderConfig",
    "EnsembleConfig",
    "EvalConfig",
    "EvaluationConfig",
    "ExplainConfig",
    "ExportConfig",
    "FeaturesConfig",
    "FidConfig",
    "GanConfig",
    "GanGenerateConfig",
    "GanProjectConfig",
    "GanRedrawConfig",
    "GanTrainConfig",
    "METHODS",
    "MOST_UNITS",
    "ModelConfig",
    "PredictConfig",
    "PrepareConfig",
    "REDRAWERS",
    "RobustnessConfig",
    "RuntimeConfig",
    "STRATEGIES",
    "ScoreConfig",
    "ServeConfig",
    "StrategyConfig",
    "TrainConfig",
    "TrainerConfig",
    "VideoConfig",
    "accepted_range",
    "check",
    "literal",
    "setting",
]
