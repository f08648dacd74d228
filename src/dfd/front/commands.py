"""The table of commands. A new command is one entry here, one dataclass, one root file and one module."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dfd import config


@dataclass(frozen=True, eq=False)
class Command:
    """One command of `dfd`."""

    name: str  # as typed: "data prepare"
    config: type  # the dataclass of its settings; the docstring is the command's summary
    examples: tuple[str, ...]
    paths: str | None = None  # the setting that takes the words which are not settings
    flags: Mapping[str, str] = field(default_factory=dict)  # shorthands: {"--fid": "fid=true"}
    compared: bool = False  # the runs of a multirun are compared at its end
    resumable: bool = False  # has a setting `resume`, and run folders as in resume.py

    @property
    def id(self) -> str:
        """Name of the root file in configs/ and of the module in dfd.commands: "data_prepare"."""
        return self.name.replace(" ", "_")

    @property
    def summary(self) -> str:
        """One line that says what the command does."""
        return (self.config.__doc__ or "").strip()


COMMANDS = (
    Command(
        "data prepare",
        config.PrepareConfig,
        (
            "dfd data prepare",
            "dfd data prepare data=yonsei data.source=/path/to/real_and_fake_face",
        ),
    ),
    Command(
        "train",
        config.TrainConfig,
        (
            "dfd train",
            "dfd train model=densenet121",
            "dfd train model=efficientnet_b4 data=real140k trainer.epochs=5",
            "dfd train -m model=resnet50,densenet121 seed=0,1",
            "dfd train -m model=resnet50,efficientnet_b0 data=yonsei cv.folds=5",
            "dfd train 'data=[real140k,gan:RUN]'",
            "dfd train resume=true",
        ),
        compared=True,
        resumable=True,
    ),
    Command(
        "eval",
        config.EvalConfig,
        (
            "dfd eval",
            "dfd eval bundle=outputs/train/demo-resnet50/TIME",
            "dfd eval data=real140k",
            "dfd eval -m bundle=RUN,RUN data=yonsei,real140k",
            "dfd eval robustness=web",
            "dfd eval --fid",
            "dfd eval fid=efficientnet_lite0 fid.real=FOLDER fid.fake=FOLDER",
        ),
        flags={"--fid": "fid=inception"},
        compared=True,
    ),
    Command(
        "ensemble",
        config.EnsembleConfig,
        (
            "dfd ensemble strategy=stacking_pca_svc",
            "dfd ensemble strategy=weighted 'members=[RUN,RUN,RUN]'",
            "dfd ensemble -m strategy=averaging,majority,weighted,stacking_logreg",
            "dfd ensemble strategy=noisy_or 'members=[RUN,RUN]' 'data=[real140k,yonsei,gan:RUN]'",
        ),
        compared=True,
    ),
    Command(
        "compare",
        config.CompareConfig,
        (
            "dfd compare",
            "dfd compare outputs/train outputs/ensemble/averaging",
        ),
        paths="inputs",
    ),
    Command(
        "features",
        config.FeaturesConfig,
        (
            "dfd features",
            "dfd features bundle=RUN data=yonsei",
        ),
    ),
    Command(
        "data audit",
        config.AuditConfig,
        (
            "dfd data audit data=yonsei",
            "dfd data audit data=real140k bundle=RUN",
        ),
    ),
    Command(
        "gan train",
        config.GanTrainConfig,
        (
            "dfd gan train data=real140k",
            "dfd gan train data=real140k gan=base gan.resolution=128 gan.kimg=2000",
            "dfd gan train -m data=real140k gan.resolution=32,64",
            "dfd gan train resume=true",
        ),
        resumable=True,
    ),
    Command(
        "gan generate",
        config.GanGenerateConfig,
        (
            "dfd gan generate n=5000",
            "dfd gan generate run=RUN n=5000 seed=0 trunc=0.7",
            "dfd train 'data=[real140k,gan:RUN]'",
        ),
    ),
    Command(
        "gan redraw",
        config.GanRedrawConfig,
        (
            "dfd gan redraw data=real140k",
            "dfd gan redraw data=real140k 'families=[nearest,denoised]' steps=1000",
            "dfd train 'data=[real140k,gan:RUN]'",
        ),
    ),
    Command(
        "gan project",
        config.GanProjectConfig,
        (
            "dfd gan project photo.jpg",
            "dfd gan project photos/ run=RUN space=w",
        ),
        paths="inputs",
    ),
    Command(
        "predict",
        config.PredictConfig,
        (
            "dfd predict suspicious.jpg",
            "dfd predict holiday.jpg photos/ clip.mp4",
            "dfd predict photos/ output=scores.csv",
            "dfd predict photo.jpg bundle=RUN backend=onnxruntime",
            "dfd predict -- -file-that-starts-with-a-dash.jpg",
        ),
        paths="inputs",
    ),
    Command(
        "explain",
        config.ExplainConfig,
        (
            "dfd explain suspicious.jpg",
            "dfd explain suspicious.jpg method=lime",
            "dfd explain --faithfulness data=yonsei",
        ),
        paths="inputs",
        flags={"--faithfulness": "faithfulness=true"},
    ),
    Command(
        "export",
        config.ExportConfig,
        (
            "dfd export",
            "dfd export bundle=RUN format=openvino precision=int8",
        ),
    ),
    Command(
        "serve",
        config.ServeConfig,
        (
            "dfd serve",
            "dfd serve bundle=RUN backend=onnxruntime host=0.0.0.0 port=8000",
        ),
    ),
    Command(
        "score",
        config.ScoreConfig,
        (
            "dfd score photos/ out=scores",
            "dfd score 'shards/*.tar' out=scores backend=onnxruntime",
            "dfd score s3://bucket/images.parquet out=scores engine=ray",
        ),
        paths="inputs",
    ),
)


def find_command(words: list[str]) -> Command | None:
    """The command that `words` begin with; the longest name wins."""
    found = [command for command in COMMANDS if words[: len(command.name.split())] == command.name.split()]
    return max(found, key=lambda command: len(command.name), default=None)
