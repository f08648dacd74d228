"""dfd score: a bundle and any number of images in, Parquet parts of verdicts out."""

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfd import __version__
from dfd.config import ScoreConfig
from dfd.errors import EXIT_OK, EXIT_PARTIAL, UserError
from dfd.inference.backends import open_engine
from dfd.inference.engine import Engine
from dfd.inference.graph_engine import GraphEngine
from dfd.models.bundle import find, load
from dfd.report.words import which
from dfd.runtime import MIXED, Runtime, start
from dfd.scoring.inputs import is_url
from dfd.scoring.parts import alone, refuse_others
from dfd.scoring.plan import Plan, Skipped, tasks_of
from dfd.scoring.progress import Progress, duration
from dfd.scoring.result import SCORES, State, finish, state_of
from dfd.scoring.scorer import Job, Scorer
from dfd.scoring.tables import Columns


def run(config: ScoreConfig, out: Path) -> int:
    """Score what is not scored yet. Returns EXIT_PARTIAL if some images could not be used."""
    if not config.inputs:
        raise UserError("nothing to score: name folders, globs, manifests, .tar or .parquet, as in `dfd score photos/`")
    if is_url(config.out):
        raise UserError(f"out={config.out}: parts are written to a folder of this machine; copy them from there")
    if config.address is not None and config.engine != "ray":
        raise UserError(f"address={config.address} is for engine=ray; add it, or leave the address out")
    folder = find(config.bundle)
    bundle = load(folder)
    runtime = start(config.runtime, cpu_bf16=bundle.cpu_bf16)
    if runtime.world > 1:
        raise UserError("dfd score is one process with workers of its own; for several machines choose engine=ray")
    engine = open_engine(folder, bundle, config.backend, runtime)
    plan = Plan(Path(config.out).absolute())
    with alone(plan.folder):
        digest, skipped = _planned(plan, config, engine, runtime)
        state = state_of(plan, digest)
        _announce(state, engine, str(folder), config)
        limits = (config.part, config.batch_size, _max_pixels(config, engine))
        job = Job(plan.folder, digest, *limits, _columns(config), _start_of(config.inputs))
        progress = _score(config, job, folder, engine, runtime, state)
        done = finish(state_of(plan, digest), _origin(config, engine, runtime))
    _show(done, skipped, progress, config)
    return EXIT_PARTIAL if done["errors"] else EXIT_OK


def _planned(plan: Plan, config: ScoreConfig, engine: Engine, runtime: Runtime) -> tuple[str, Skipped]:
    """The digest of the plan, which is made now or, of an earlier run, compared with what is asked for."""
    about, skipped = _about(config, engine, runtime), Skipped()
    tasks = tasks_of(config.inputs, _columns(config), config.part, plan.folder, skipped)
    if plan.about is None:
        refuse_others(plan.folder)
        plan.write(tasks, about)
    else:
        plan.check(about)
        plan.check_tasks(tasks)
    assert plan.about is not None
    return str(plan.about["digest"]), skipped


def _about(config: ScoreConfig, engine: Engine, runtime: Runtime) -> dict[str, Any]:
    """All that decides the rows, beside the images."""
    graph = engine.graph if isinstance(engine, GraphEngine) else None
    return {
        "bundle": engine.bundle.sha256,  # of a single network: its weights alone
        **{f"calibration.{name}": value for name, value in engine.bundle.calibration.to_dict().items()},
        "preprocessing": [each.to_dict() for each in engine.joint.each],
        "backend": graph.format if graph else "torch",
        "graph": graph.card["files"] if graph else None,
        "runtime.precision": graph.precision if graph else runtime.precision,
        "max_pixels": _max_pixels(config, engine),
        "part": config.part,
        "bytes_column": config.bytes_column,
        "id_column": config.id_column,
    }


def _origin(config: ScoreConfig, engine: Engine, runtime: Runtime) -> dict[str, Any]:
    """Where the scores come from, for people who find them."""
    return {
        **{"name": engine.bundle.name, "inputs": config.inputs, "dfd": __version__},
        **_about(config, engine, runtime),
    }


def _score(
    config: ScoreConfig, job: Job, folder: Path, engine: Engine, runtime: Runtime, state: State
) -> Progress | None:
    """Score what is left; None if nothing is."""
    images, shard_bytes, tasks = _left(state)
    if not tasks:
        return None
    (state.plan.folder / SCORES).unlink(missing_ok=True)
    progress = Progress(images, shard_bytes)
    try:
        if config.engine == "ray":
            _on_ray(config, job, folder, engine, runtime, state, progress)
        else:
            with closing(Scorer(job, engine, runtime, runtime.workers)) as scorer:
                scorer.run((one for _, one in state.todo()), progress.on_chunk, lambda part: None)
    except KeyboardInterrupt:
        print(
            f"\nStopped after {progress.done:,} images. The same command goes on with what is not in a part yet.",
            file=sys.stderr,
        )
        raise
    finally:
        progress.close()
    return progress


def _on_ray(
    config: ScoreConfig, job: Job, folder: Path, engine: Engine, runtime: Runtime, state: State, progress: Progress
) -> None:
    from dfd.scoring.cluster import Networks, score  # Ray is an extra

    precision = config.runtime.precision if runtime.precision == MIXED else runtime.precision
    graph = engine.graph.folder.absolute() if isinstance(engine, GraphEngine) else None
    settings = replace(config.runtime, device=runtime.device.type, precision="auto" if graph else precision)
    score(Networks(folder.absolute(), graph, settings), job, state.todo(), config.address, progress.on_part)


def _left(state: State) -> tuple[int, int, int]:
    """What there is to do: images that are counted, bytes of shards, tasks."""
    images = shard_bytes = tasks = 0
    for _, todo in state.todo():
        images += todo.task.images or 0
        shard_bytes += todo.task.size
        tasks += 1
    return images, shard_bytes, tasks


def _start_of(inputs: list[str]) -> Path | None:
    """The folder that relative inputs start from; None if there are none."""
    return None if all(is_url(text) or Path(text).is_absolute() for text in inputs) else Path.cwd()


def _columns(config: ScoreConfig) -> Columns:
    return Columns(config.bytes_column, config.id_column)


def _max_pixels(config: ScoreConfig, engine: Engine) -> int:
    return config.max_pixels or engine.bundle.max_pixels


def _announce(state: State, engine: Engine, folder: str, config: ScoreConfig) -> None:
    print(f"bundle       {which(folder, config.bundle)}: {engine.describe()}")
    about = state.plan.about or {}
    counted = [f"{about['images']:,} images"] if about["images"] or not about["shard_bytes"] else []
    shards = [f"{about['shard_bytes'] / 2**20:,.0f} MiB of shards"] if about["shard_bytes"] else []
    there = f"; {state.rows:,} images are scored already" if state.parts else ""
    print(f"inputs       {' and '.join([*counted, *shards])} in {about['tasks']:,} tasks{there}", flush=True)


def _show(done: dict[str, Any], skipped: Skipped, progress: Progress | None, config: ScoreConfig) -> None:
    failed = f", {done['errors']:,} could not be used" if done["errors"] else ""
    print(
        f"\n{done['images']:,} images: {done['real']:,} real, {done['unsure']:,} unsure, {done['fake']:,} fake{failed}"
    )
    if skipped.files:
        print(f"{skipped.files:,} other files in these folders are no images")
    if progress is not None:
        print(f"speed        {progress.rate:,.0f} images/s, {progress.done:,} images in {duration(progress.seconds)}")
    else:
        print("             all of them were scored already")
    print(f"scores       {config.out}/part-*.parquet ({len(done['parts']):,}), told of in {config.out}/{SCORES}")
