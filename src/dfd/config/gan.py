"""Generators, and networks that draw photographs again."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.evaluation import CalibrationConfig, EvaluationConfig, FidConfig
from dfd.config.runtime import RuntimeConfig
from dfd.config.setting import setting

REDRAWERS = ("upscaled2", "upscaled4", "upscaled8", "denoised", "nearest", "latent", "shuffle", "transposed")


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
