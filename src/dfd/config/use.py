"""Detectors at work."""

from dataclasses import dataclass, field

from dfd.config.data import DataConfig
from dfd.config.evaluation import EvaluationConfig
from dfd.config.runtime import BACKEND_HELP, BACKENDS, RuntimeConfig
from dfd.config.setting import setting

METHODS = ("gradcam", "gradcampp", "shap", "lime", "occlusion", "integrated_gradients")


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
