"""Ensembles."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.evaluation import CalibrationConfig, EvaluationConfig
from dfd.config.runtime import RuntimeConfig
from dfd.config.setting import setting
from dfd.config.training import AugmentConfig

STRATEGIES = (
    "averaging",
    "majority",
    "noisy_or",
    "weighted",
    "stacking_logreg",
    "stacking_pca_svc",
    "stacking_gbm",
)


@dataclass
class StrategyConfig:
    """How the members of an ensemble are combined."""

    name: str = setting("???", "short name, used in folder names and tables")
    kind: str = setting("???", "way of combining", choices=STRATEGIES)
    space: str = setting("probability", "averaging, weighted: what is averaged", choices=("probability", "logit"))
    by: str = setting(
        "optimised",
        "weighted: where the weights come from: given, AUROC above chance, or least log loss",
        choices=("fixed", "auroc", "optimised"),
    )
    weights: list[float] | None = setting(None, "weighted, by=fixed: one weight a member", low=0, needs=("by", "fixed"))
    select: bool = setting(True, "stacking: also choose the members, by inner cross-validation")
    components: list[int] = setting(
        [32, 128, 512], "stacking_pca_svc: numbers of principal components to choose from", low=1
    )
    c: list[float] = setting(
        [0.01, 0.1, 1.0, 10.0], "stacking_logreg, stacking_pca_svc: values of C to choose from", low=1e-9
    )
    leaves: list[int] = setting([2, 4, 8], "stacking_gbm: largest numbers of leaves a tree to choose from", low=2)
    inner_folds: int = setting(3, "stacking: folds of the cross-validation that chooses", low=2, high=20)
    seed: int = setting(0, "seed of inner folds and estimators", low=0)


@dataclass
class EnsembleConfig:
    """Combine trained detectors into one, fitted on out-of-fold or validation rows, and compare it with the best."""

    name: str = setting("${strategy.name}", "name of the run; outputs/ensemble/<name>/<time> is its folder")
    members: list[str] = setting(
        [], "runs of `dfd train`, two or more; default: the best on validation of the newest run's data"
    )
    top: int = setting(3, "how many members to take when none are named", low=2)
    data: DataConfig | None = None
    augment: AugmentConfig | None = None
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
