"""Parts of the result: Parquet files that each are there as a whole or not at all, and say what they hold.

part-000012.parquet        task 12
part-000012-0003.parquet   task 12 is a shard; its fourth part

A folder of parts is one table to pandas, pyarrow and others: other files in it begin with `_` or `.`, which they pass.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfd.errors import UserError
from dfd.files import replacing, told
from dfd.inference.engine import Engine
from dfd.inference.predictions import predictions_of
from dfd.models.bundle import EnsembleBundle
from dfd.scoring.inputs import SHARD
from dfd.scoring.item import Item, Known
from dfd.scoring.plan import Task

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two processes apart
    fcntl = None  # type: ignore[assignment]

VERDICTS = ("real", "unsure", "fake")
ERROR = "error"
META, LOCK = b"dfd", "_lock"
NAME = re.compile(r"part-(\d{6,})(?:-(\d{4,}))?\.parquet")
LEFT_OVER = (".part-*.part.parquet", "._plan.*.part*", "._scores.*.part*")  # as `files.replacing` names them
FIELDS = (
    *((name, pa.int8() if name == "label" else pa.string()) for name in ("path", "label", "split", "source", "group")),
    *(("sha256", pa.string()), ("logit", pa.float32()), ("prob", pa.float64())),
    *(("verdict", pa.string()), ("error", pa.string())),
)


@dataclass(frozen=True)
class Part:
    """A part on the disk. `plan` is the digest of the plan it belongs to; `counts`: of verdicts and errors."""

    task: int
    number: int | None  # of a shard's part
    rows: int
    counts: Mapping[str, int] = field(default_factory=dict)
    ends_task: bool = True
    plan: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"part-{self.task:06}{'' if self.number is None else f'-{self.number:04}'}.parquet"


@dataclass(frozen=True)
class Scored:
    """The images of a part, and what the networks said of them.

    `reasons`: None, or why there is no score. `values` float32 [n, width]: the engine's, NaN where there is a
    reason.
    """

    task: Task
    number: int
    items: list[Item]
    reasons: list[str | None]
    values: np.ndarray


def write(folder: Path, scored: Scored, engine: Engine, ends_task: bool, plan: str) -> Part:
    """Write the rows of a part."""
    task = scored.task
    table = _table(scored, engine)
    counts = {name: int((table["verdict"] == name).sum()) for name in VERDICTS}
    counts[ERROR] = int(table["error"].notna().sum())
    part = Part(task.number, scored.number if task.kind == SHARD else None, len(table), counts, ends_task, plan)
    members = [(name, pa.float32()) for name in table.columns[len(FIELDS) :]]
    schema = pa.schema([*FIELDS, *members], metadata={META: json.dumps(asdict(part))})
    with told(folder), replacing(folder / part.name) as temporary:
        pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), temporary, compression="zstd")
    return part


def present(folder: Path, plan: str) -> Iterator[Part]:
    """The parts of a plan that are there, in their order. One that is cut off is removed.

    For a folder that holds the plan already: see `refuse_others`. Raises UserError if there are parts of another plan,
    or files that only look like parts.
    """
    for path in _files(folder):
        footer = _footer(path)
        if footer is None:
            path.unlink()
            continue
        part = _part(path, footer)
        if part.plan != plan or part.name != path.name or part.rows != footer.num_rows:
            raise UserError(f"{path} is no part of this plan; choose another folder with out=, or remove it")
        yield part


def refuse_others(folder: Path) -> None:
    """Raise UserError if a folder without a plan holds files named like parts that no run of ours has written."""
    for path in _files(folder):
        footer = _footer(path)
        if footer is None:
            raise _not_ours(path)
        _part(path, footer)


def member_columns(engine: Engine) -> list[str]:
    """Names of the columns with the logits of an ensemble's members; none for a single network."""
    if not isinstance(engine.bundle, EnsembleBundle):
        return []
    names = [member.name for member in engine.bundle.members]
    return [f"member_{name}" + (f"_{at}" if names.count(name) > 1 else "") for at, name in enumerate(names)]


def _files(folder: Path) -> list[Path]:
    """By task and number: as text, 10000 would come before 9999."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.glob("part-*.parquet")]
    numbered = [(int(match[1]), int(match[2] or 0), path) for match, path in found if match]
    return [path for *_, path in sorted(numbered)]


def _footer(path: Path) -> pq.FileMetaData | None:
    """None if the file is cut off, or no Parquet at all. Raises UserError if that can't be told."""
    try:
        return pq.read_metadata(path)
    except pa.ArrowInvalid:
        return None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} can't be read: {' '.join(str(error).split())[:200]}; remove it if it may go") from None


def _part(path: Path, footer: pq.FileMetaData) -> Part:
    """What a file says of itself. Raises UserError if it is none of ours, which may be a user's images."""
    try:
        return Part(**json.loads((footer.metadata or {})[META]))
    except (KeyError, TypeError, ValueError):
        raise _not_ours(path) from None


def _not_ours(path: Path) -> UserError:
    return UserError(f"{path} was not written by dfd score; choose another folder with out=")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the folder within the block, and clear what a killed one has left.

    Raises UserError if another one is at it.
    """
    with told(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"out={folder} can't be made: it is no folder, or not in one") from None
        handle = open(folder / LOCK, "w")  # noqa: SIM115  # closed below
    with handle:
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"out={folder}: another process is writing its scores there") from None
        for pattern in LEFT_OVER:
            for path in folder.glob(pattern):
                path.unlink()
        yield


def _table(scored: Scored, engine: Engine) -> pd.DataFrame:
    names, columns = [name for name, _ in FIELDS[: 1 + len(Known._fields)]], member_columns(engine)
    rows = pd.DataFrame([(item.path, *item.known) for item in scored.items], columns=names)
    good = np.array([reason is None for reason in scored.reasons], bool)
    logits = np.full(len(rows), np.nan, np.float32)
    members = np.full((len(rows), len(columns)), np.nan, np.float32)
    if good.any():
        logits[good] = engine.logits(scored.values[good])
        if columns:
            members[good] = engine.member_logits(scored.values[good])
    errors = {row: reason for row, reason in enumerate(scored.reasons) if reason is not None}
    table = predictions_of(rows, logits, errors, engine.bundle.calibration)
    return table.assign(**{name: members[:, at] for at, name in enumerate(columns)})
