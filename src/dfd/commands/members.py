"""Which trained detectors an ensemble is made of, and whether they may be combined."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfd.commands.data import data_of, prepared
from dfd.config import DataConfig, EnsembleConfig
from dfd.data.manifest import Manifest
from dfd.errors import UserError
from dfd.evaluation.runs import METRICS, OOF_FEATURES, OOF_PREFIX, PREDICTIONS
from dfd.models.bundle import Bundle, EnsembleBundle, find, load, read_card
from dfd.runtime import Runtime

OUTPUTS = Path("outputs")


@dataclass(frozen=True)
class Member:
    """A finished training run."""

    run: Path
    folder: Path  # its bundle
    bundle: Bundle

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.bundle.name

    @property
    def folds(self) -> int:
        """Number of its folds; 0 if it was not cross-validated."""
        return int(self.bundle.data.get("folds", 0))


@dataclass(frozen=True)
class _Candidate:
    run: Path
    name: str
    data: str
    fingerprint: str
    folds: int
    auroc: float
    when: float

    @property
    def basis(self) -> tuple[str, int]:
        return self.fingerprint, self.folds


def choose(config: EnsembleConfig) -> tuple[list[Path], int]:
    """The runs that are named, or the best on validation of those on the newest run's data; says which and why.

    Also returns among how many they were chosen: a choice by out-of-fold figures flatters the out-of-fold figures of
    what is made of it, the more so the more there were to choose from.
    """
    if config.members:
        return _named(config.members), len(config.members)
    candidates = _candidates()
    if not candidates:
        raise UserError(
            f"no finished runs in {OUTPUTS}/train: train two or more detectors on the same data first, as in "
            "`dfd train -m model=resnet50,densenet121 cv.folds=5`"
        )
    newest = max(candidates, key=lambda one: one.when)
    alike = {one.name: one for one in sorted(candidates, key=lambda one: one.when) if one.basis == newest.basis}
    where = f"{newest.data} ({newest.fingerprint}), " + (f"{newest.folds} folds" if newest.folds else "without folds")
    if len(alike) < 2:
        raise UserError(
            f"an ensemble needs two members or more; on {where}, the newest run's data, there is only {newest.run}. "
            "Train another detector on the same data, or name the members: members=[RUN,RUN]"
        )
    ranked = sorted(alike.values(), key=lambda one: -one.auroc)
    measure = "out-of-fold" if newest.folds else "validation"
    print(f"data         {where}")
    for place, one in enumerate(ranked):
        mark = "member" if place < config.top else "left out"
        print(f"{mark:<12} {measure} AUROC {one.auroc:.3f}  {one.run}")
    for one in candidates:
        if one.basis == newest.basis and one is not alike[one.name]:
            print(f"left out     an older run of {one.name}: {one.run}")
    if len(ranked) > config.top:
        print(f"             the best {config.top} are taken; top=N or members=[RUN,RUN] takes others")
        if newest.folds:
            print("             their out-of-fold figures decided, so those of the ensemble will be a little too high")
    return [one.run for one in ranked[: config.top]], len(ranked)


def load_members(runs: list[Path], same_data: bool = True) -> list[Member]:
    """Load the runs' bundles. Raises UserError if one is missing or damaged, or if they must not be combined.

    Without `same_data` they may have been trained on different data; `check_apart` says whether these may be combined.
    """
    members = []
    for run in runs:
        folder = find(str(run), setting="members")
        member = Member(folder.parent, folder, load(folder))
        if member.bundle.fitted_on_val:
            instead = "name its own members instead" if isinstance(member.bundle, EnsembleBundle) else "leave it out"
            raise UserError(
                f"members: {run} was fitted on validation, which is what it would be combined on; {instead}"
            )
        members.append(member)
    for other in members[1:] if same_data else []:
        _check_pair(members[0], other)
    return members


def check_apart(members: list[Member], data: DataConfig, manifest: Manifest, runtime: Runtime) -> None:
    """Raise UserError if a member learnt from images of `manifest` that the ensemble is fitted or measured on.

    What it was tuned on, its validation, may be validation there. It is the files that are compared: near duplicates
    are not looked for beyond what kept them together when the data were prepared.
    """
    held_out = manifest.table[manifest.table["split"] != "train"]
    for member in members:
        if member.folds:
            raise UserError(
                f"members: {member.name} is cross-validated, and so has learnt from all of its images; with data=... "
                "members without folds are accepted"
            )
        tuned_on = _own(member, data, runtime).rows("val")["sha256"]
        fine = (held_out["split"] == "val") & held_out["sha256"].isin(tuned_on)
        known = member.bundle.has_seen(held_out["sha256"]) & ~fine
        if known.any():
            raise UserError(
                f"members: {member.name} was trained or tuned on {int(known.sum())} of the {len(held_out)} validation "
                f"and test images of {manifest.name}; accepted are members whose training images are in no other split "
                "of it"
            )


def _own(member: Member, data: DataConfig, runtime: Runtime) -> Manifest:
    """The manifest of the member's own data. Raises UserError if it is not there, or would displace that of `data`."""
    own = data_of(member.bundle)
    if own.name == data.name and _without_additions(own) != _without_additions(data):
        raise UserError(
            f"members: {member.name} was trained on {own.name} under other settings than data=... has; give it those, "
            "or data.name another name"
        )
    try:
        manifest = prepared(own, runtime)
    except UserError as error:
        raise UserError(f"{error}\nThese are the data that the member {member.name} was trained on") from None
    check_unchanged(member, manifest)
    return manifest


def _without_additions(data: DataConfig) -> DataConfig:
    """The settings by which the data set itself is prepared, whatever is taken of it or added to it."""
    plain = DataConfig()
    return replace(data, add=plain.add, own=plain.own, min_side=plain.min_side)


def check_unchanged(member: Member, manifest: Manifest) -> None:
    """Raise UserError if `manifest` is no longer what the member was trained on."""
    trained = member.bundle.data["fingerprint"]
    if manifest.fingerprint != trained:
        raise UserError(
            f"the data {manifest.name} have changed since {member.name} was trained (fingerprint {trained}, now "
            f"{manifest.fingerprint}); train it again"
        )


def oof_predictions(member: Member) -> pd.DataFrame:
    """The out-of-fold table of a cross-validated member, checked."""
    beside_test = (member.run / f"{OOF_PREFIX}{METRICS}").is_file()
    path = member.run / (f"{OOF_PREFIX}{PREDICTIONS}" if beside_test else PREDICTIONS)
    try:
        table = pd.read_parquet(path)
        table[["sha256", "label", "group", "fold", "logit", "path"]]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the out-of-fold predictions of {member.name}; train it again") from None
    except KeyError as error:
        raise UserError(
            f"{path} holds no out-of-fold predictions ({error.args[0]}); train {member.name} again"
        ) from None
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise UserError(f"{path} is damaged: {error}") from None
    bad = int((~np.isfinite(table["logit"].to_numpy(np.float64))).sum())
    if bad:
        raise UserError(f"{path}: {bad} of {len(table)} logits are no finite numbers; train {member.name} again")
    return table


def oof_features(member: Member, rows: int) -> np.ndarray:
    """Out-of-fold features float32 [rows, F], memory-mapped."""
    path = member.run / OOF_FEATURES
    try:
        features = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; train {member.name} again, or choose a strategy on scores") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if features.ndim != 2 or len(features) != rows:
        raise UserError(f"{path} has the shape {features.shape}, but {rows} rows are expected; train it again")
    return features


def _named(members: list[str]) -> list[Path]:
    if len(members) < 2:
        raise UserError(f"members=[{members[0]}]: an ensemble needs two members or more")
    found = []
    for name in members:
        if not Path(name).exists():
            raise UserError(f"members: {name} does not exist; accepted are folders of finished runs of `dfd train`")
        place = find(name, setting="members").resolve()
        if place in found:
            raise UserError(f"members: {name} is named twice")
        found.append(place)
    return [Path(name) for name in members]


def _candidates() -> list[_Candidate]:
    found = []
    for card in OUTPUTS.glob("train/*/*/bundle/bundle.yaml"):
        run = card.parents[1]
        if not (run / METRICS).is_file():
            continue
        try:
            content = read_card(card.parent)
            data, auroc = content["data"], float(content["metrics"]["auroc"])
        except (UserError, KeyError, TypeError, ValueError):
            print(f"left out     {run}: its bundle is damaged or of an older format")
            continue
        found.append(
            _Candidate(
                run,
                content["name"],
                data["name"],
                data["fingerprint"],
                int(data.get("folds", 0)),
                auroc,
                card.stat().st_mtime,
            )
        )
    return found


def _check_pair(one: Member, other: Member) -> None:
    """Two members may be combined if they were trained and tuned on the same rows, in the same folds."""
    if one.bundle.data["fingerprint"] != other.bundle.data["fingerprint"]:
        told = " and ".join(f"{each.name} on {_where(each)}" for each in (one, other))
        leaks = _leak(one, other) or _leak(other, one)
        raise UserError(
            f"these members can't be combined: they were trained on different data or splits: {told}. "
            + (leaks or "What is out-of-fold or validation for one may be training data of the other.")
        )
    if one.folds != other.folds:
        told = " and ".join(
            f"{each.name} {f'in {each.folds} folds' if each.folds else 'without folds'}" for each in (one, other)
        )
        raise UserError(
            f"these members can't be combined: {told}. What one was trained on would be what the other is fitted on; "
            "train them with the same cv.folds"
        )


def _where(member: Member) -> str:
    return f"{member.bundle.data['name']} ({member.bundle.data['fingerprint']})"


def _leak(trained: Member, tested: Member) -> str | None:
    """A sentence if `trained` has seen images of the other's test split."""
    try:
        table = pd.read_parquet(tested.run / PREDICTIONS, columns=["sha256", "split"])
    except (OSError, ValueError, KeyError):
        return None
    test = table.loc[table["split"] == "test", "sha256"]
    seen = int(trained.bundle.has_seen(test).sum())
    if not seen:
        return None
    return f"{trained.name} was trained or tuned on {seen} of the {len(test)} test images of {tested.name}."
