"""The audit of a data set."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.evaluation import EvaluationConfig
from dfd.config.runtime import RuntimeConfig
from dfd.config.setting import setting


@dataclass
class EncoderConfig:
    """A pretrained network that looks at blurred thumbnails: it tells who and how was photographed."""

    name: str = setting("???", "short name")
    backbone: str = setting("???", "timm model name, with its weights tag")
    weights: str | None = setting(None, "local .safetensors file of its weights, in timm's names")
    sides: list[int] = setting(
        [20, 48], "widths in pixels that images are reduced to before it sees them; []: it is not asked", low=1
    )

    def is_none(self) -> bool:
        """True if no encoder is used."""
        return not self.sides


@dataclass
class AuditConfig:
    """Ask what a detector could score on a data set without any trace of forgery: size, format, colours, blur."""

    name: str = setting("${data.name}", "name of the run; outputs/data-audit/<name>/<time> is its folder")
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    bundle: str | None = setting(
        None, "also measure this bundle on images re-encoded and resized alike, and given the shortcuts"
    )
    folds: int = setting(5, "folds of the grouped cross-validation", low=2, high=20)
    strata: int = setting(20, "strata of the nuisance score for the conditional AUROC", low=2, high=100)
    side: int = setting(
        128, "counterfactual: side in pixels of the square that every image is cut and resized to", low=16, high=1024
    )
    quality: int = setting(75, "counterfactual: JPEG quality that every image is re-encoded at", low=1, high=100)
    seed: int = setting(0, "seed of folds and classifiers", low=0)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
