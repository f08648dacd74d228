"""The training of a GAN in words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfd.report import fid_words
from dfd.report.words import percent

TARGET = 0.6  # of r_t: where the ADA paper (Karras et al. 2020) steers to
NEAR = 0.1  # of r_t: as the target, for an estimate from a few steps
LEAKING = 0.8  # p above which the ADA paper saw augmentations in the samples
LAST = 0.25  # share of the training that tells whether it still got better
FALLING = 0.05  # share by which the figure falls in that part if going on is worth it
ROSE = 1.1  # times the smallest figure: it got worse again
COLUMNS = (
    *("step", "kimg", "loss_d", "loss_g", "r1", "path_length", "real_sign", "fake_sign", "gradient_d", "gradient_g"),
    *("p", "r_t", "fd", "kid", "diversity", "collapsed", "images_per_s", "seconds"),
)


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        ticks: one row a tick, with all of COLUMNS; NaN where a figure is missing or infinite. The index is the tick.
        best: the tick whose generator was kept.
        label: name of the column fd.
        target: value of r_t that p was steered to; None: p was not steered, or it is not known.
        n: samples that a tick's figures are of; None: not known.
    """

    ticks: pd.DataFrame
    best: int
    label: str
    target: float | None
    n: int | None

    @property
    def kept(self) -> pd.Series:
        """The figures of the generator that was kept."""
        return self.ticks.loc[self.best]

    @property
    def kid(self) -> str:
        """Name of the column kid."""
        return fid_words.kid_name({"label": self.label})


def course(history: pd.DataFrame, best: int, label: str, target: float | None, n: int | None) -> Course:
    """From the history of `dfd.training.loop`, whose columns may be missing, all but `tick`."""
    ticks = history.set_index("tick").reindex(columns=list(COLUMNS)).astype(float)
    return Course(ticks.replace([np.inf, -np.inf], np.nan), best, label, target, n)


def value_of(key: str, value: float) -> str:
    """A figure of a tick with the decimals that it deserves, or a dash."""
    if np.isnan(value):
        return "–"
    if key in ("fd", "kid"):
        return fid_words.value_of(key, {"value": value})
    if key == "kimg":
        return f"{value:,.{0 if value >= 100 else 1}f}".removesuffix(".0")
    formats = {"images_per_s": ",.1f", "p": ".3f", "r_t": ".2f", "diversity": ".2f"}
    return format(value, formats.get(key, ".3g")).replace("-", "−")


def summary(run: Course) -> list[str]:
    """What the figures say."""
    return [*_best(run), *_trend(run), *_augmentation(run.ticks), *_overfitting(run), *_collapse(run), *_variety(run)]


def cautions(run: Course) -> list[str]:
    """What the figures do not say."""
    lines = []
    if run.label != "FID":
        lines.append(f"This is no FID: {run.label} compares with {run.label} of the same weights alone.")
    samples = "a limited number of samples" if run.n is None else f"{run.n:,} samples"
    lines.append(
        f"Each tick was measured on {samples}. {run.label} is larger the fewer they are, so it compares with figures "
        "of the same number alone."
    )
    lines += [
        "The smallest of many ticks is a little smaller than its truth, by luck. ‘dfd eval --fid’ measures the kept "
        "generator on fresh samples, with intervals.",
        "The reference is the training images themselves. A generator that copies them would look best here; "
        "‘dfd eval --fid’ also looks for copies.",
        "The losses measure each network against the other one. They say who is ahead, not how good images are.",
    ]
    if run.ticks["p"].max() > LEAKING:
        lines.append(
            f"p was above {LEAKING}. There, augmentations can leak into the samples: look for turned, shifted or "
            "oddly coloured ones."
        )
    return lines


def _at(kimg: float) -> str:
    return f"{value_of('kimg', kimg)} kimg"


def _best(run: Course) -> list[str]:
    fd = run.ticks["fd"].dropna()
    if np.isnan(run.kept["fd"]):
        return []
    told = f"The kept generator is that of {_at(run.kept['kimg'])} (thousands of real images shown): {run.label} "
    told += value_of("fd", run.kept["fd"])
    if len(fd) == 1:
        return [f"{told}. There was one tick, so nothing can be said about how it went on."]
    first = "" if fd.index[0] == run.best else f" It was {value_of('fd', fd.iloc[0])} at the first."
    return [f"{told}, the smallest of {len(fd)} ticks.{first}"]


def _trend(run: Course) -> list[str]:
    """Whether the figure still fell in the last part of the training, had settled, or rose again."""
    ticks = run.ticks.dropna(subset=["fd", "kimg"])
    late = ticks["kimg"] > (1 - LAST) * ticks["kimg"].max()
    if len(ticks) < 2 or np.isnan(run.kept["fd"]) or not (~late).any():
        return []
    if run.best == ticks.index[0]:
        return [f"{run.label} was never below that of the first tick: the training did not get better."]
    best, before, after = run.kept["fd"], ticks[~late]["fd"].min(), ticks[ticks.index > run.best]["fd"]
    if after.median() > ROSE * best:
        return [
            f"{run.label} then rose, to {after.median() / best:.1f} times its smallest. Later generators are worse, "
            "and training longer is of no use."
        ]
    if best <= (1 - FALLING) * before:
        fall = percent(1 - best / before)
        return [
            f"{run.label} was still falling: the last quarter of the training lowered it by {fall}. "
            "Training longer may give a better generator."
        ]
    if run.best == ticks.index[-1]:
        return [f"{run.label} was smallest at the end, but hardly fell in the last quarter of the training."]
    return [f"{run.label} had settled: the last quarter of the training hardly lowered it."]


def _augmentation(ticks: pd.DataFrame) -> list[str]:
    p = ticks["p"].dropna()
    if p.empty:
        return []
    if p.max() == 0:
        return ["No augmentation: its probability p was 0 from start to end."]
    last = value_of("p", p.iloc[-1])
    if len(p) > 1 and p.nunique() == 1:
        return [f"Each augmentation had the probability p = {last}, from start to end."]
    if p.iloc[-1] == 0:
        return [f"The augmentation’s probability p ended at 0, after up to {value_of('p', p.max())}."]
    rising = p.iloc[-1] == p.max() and p.iloc[-1] < 1 and len(p) > 1
    return [f"The augmentation’s probability p ended at {last}{', still rising' if rising else ''}."]


def _overfitting(run: Course) -> list[str]:
    """From the mean of the last tick's signs, which is r_t of all its steps; or else from r_t, of its last few."""
    known = run.ticks["real_sign"].fillna(run.ticks["r_t"]).dropna()
    if known.empty:
        return []
    r_t, limit = known.iloc[-1], TARGET if run.target is None else run.target
    told = f"At the end the discriminator took {percent((1 + r_t) / 2)} of the training images that it saw for real: "
    told += f"r_t {value_of('r_t', r_t)}, "
    aim = f"{'the target' if run.target is not None else 'the usual target'} of {limit:g}"
    if r_t > limit + NEAR:
        return [f"{told}above {aim}. It overfits to them, or the generator is far behind."]
    if r_t < limit - NEAR:
        return [f"{told}below {aim}: no sign of overfitting."]
    return [f"{told}at {aim}: overfitting is held where it should be."]


def _collapse(run: Course) -> list[str]:
    collapsed = run.ticks["collapsed"].dropna() > 0
    if collapsed.empty:
        return []
    if not collapsed.any():
        return ["No mode collapse: the samples never lost half of their largest variety."]
    first = collapsed.idxmax()
    told = f"Mode collapse at {_at(run.ticks['kimg'][first])}: the samples lost over half of their variety"
    lowest = run.ticks["diversity"][collapsed[collapsed].index].min()
    told += "" if np.isnan(lowest) else f" (diversity down to {value_of('diversity', lowest)})"
    told += ", up to the end." if collapsed.iloc[-1] else f", in {collapsed.sum()} of {len(collapsed)} ticks."
    if run.kept["collapsed"] > 0:
        return [f"{told} The kept generator is collapsed, too."]
    return [f"{told} The kept generator is from {'before' if run.best < first else 'after'} it."]


def _variety(run: Course) -> list[str]:
    diversity = run.kept["diversity"]
    if np.isnan(diversity):
        return []
    told = f"Two of the kept generator’s samples are {value_of('diversity', diversity)} times as far apart as two reals"
    low, high = fid_words.VARIED
    if diversity < low:
        return [f"{told}: they are less varied."]
    return [f"{told}: they are {'about as varied' if diversity <= high else 'more varied, which may be noise'}."]
