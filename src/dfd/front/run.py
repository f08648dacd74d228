"""Runs a command through Hydra: run folders, several jobs, several ranks, and runs that are continued."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from dfd.errors import EXIT_OK, EXIT_PARTIAL, EXIT_USER_ERROR, UserError, worst
from dfd.front import resume
from dfd.front.arguments import Request, typed_again
from dfd.front.commands import Command
from dfd.front.compose import CONFIGS, HYDRA_VERSION, checked_jobs, present_values, store_schema, typed
from dfd.front.errors import worded
from dfd.front.help import page
from dfd.front.ranks import is_secondary_rank, overrides_of_secondary_rank, refuse_several
from dfd.front.settings import groups

RUN_FOLDER, SWEEP_FOLDER = "hydra.run.dir=", "hydra.sweep.dir="
PLACES = ("hydra.run.", "hydra.sweep.")

log = logging.getLogger(__name__)


def perform(request: Request, runs: list[Path], report: Callable[[Exception], int]) -> int:
    """Do what the command line asks for; see `run_jobs` for `runs` and `report`. Returns the exit code."""
    command = request.command
    store_schema(command, request.paths)
    with worded(request):
        if request.show:
            return show(request)
        if not request.help:
            return run_jobs(request, runs, report)
        values = present_values(request)
    print(page(command, groups(command, request.config_dir), values))
    return EXIT_OK


def show(request: Request) -> int:
    """Hydra's --cfg, --info and --hydra-help."""
    try:
        call_hydra(request.command, [*request.show, *request.overrides], lambda config: None)
    except SystemExit as end:  # Hydra's way out of some of them
        return EXIT_USER_ERROR if end.code else EXIT_OK
    return EXIT_OK


def run_jobs(request: Request, runs: list[Path], report: Callable[[Exception], int]) -> int:
    """Run the command in the folders that Hydra makes, which `runs` collects.

    `report` words an error and gives its exit code. A job of a multirun that fails doesn't keep the
    others from running. Returns the worst exit code.
    """
    command, overrides, codes = request.command, request.overrides, [EXIT_OK]

    def task(config: DictConfig) -> None:
        job = HydraConfig.get()
        runs.append(Path(job.runtime.output_dir))
        sys.argv[1:] = typed_again(request, list(job.overrides.task))  # in place of Hydra's: reports show it
        try:
            codes.append(_run_one(request, typed(command, config), runs[-1]))
        except Exception as error:  # Hydra would print it in words of its own
            codes.append(report(error))

    jobs = checked_jobs(request)
    resumes = request.goes_on or (command.resumable and any(job.resume for job in jobs))
    if resumes and request.multirun:  # only rank 0 knows which jobs are done
        refuse_several("resume=true with -m", "run the jobs that are left one by one")
    with ExitStack() as stack:
        if is_secondary_rank():
            overrides = overrides + overrides_of_secondary_rank(stack.enter_context(TemporaryDirectory()))
        elif resumes:
            overrides = [*(word for word in overrides if not word.startswith(RUN_FOLDER)), *_resuming(request)]
        call_hydra(command, ["--multirun"] * request.multirun + overrides, task)
    if request.multirun and command.compared and not is_secondary_rank():
        codes.append(import_module("dfd.commands.compare").after_multirun(runs))
    return worst(codes)


def _run_one(request: Request, config: Any, run: Path) -> int:
    command = request.command
    if is_secondary_rank():
        return _call(command, config, run)
    if (request.goes_on or (command.resumable and config.resume)) and resume.is_done(run):
        log.info("Already finished: %s", run)
        return EXIT_OK
    with resume.claimed(run) if command.resumable else nullcontext():
        code = _call(command, config, run)
    if code in (EXIT_OK, EXIT_PARTIAL):
        resume.mark_done(run)
    return code


def _call(command: Command, config: Any, run: Path) -> int:
    return int(import_module(f"dfd.commands.{command.id}").run(config, run))


def _resuming(request: Request) -> list[str]:
    """Overrides that name the folders to go on in; in place of `hydra.run.dir`, which may name one itself.

    `hydra.sweep.dir` says beneath which folder the runs are looked for, and stays.
    """
    named = [word for word in request.overrides if word.startswith(PLACES) and not word.startswith(SWEEP_FOLDER)]
    several = request.multirun or request.goes_on
    folder = None
    for word in named:
        value = OverridesParser.create().parse_override(word).value()
        if several or not word.startswith(RUN_FOLDER) or not isinstance(value, str) or "${" in value:
            raise UserError(f"resume=true finds the run folder by itself; leave out {word}")
        folder = Path(value)
    resume.register(folder)
    return resume.overrides(request)


def call_hydra(command: Command, arguments: list[str], task: Callable[[DictConfig], None]) -> None:
    """Run Hydra's own main with `arguments` as its command line; the errors come to us."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [argv[0], *arguments], "1"
    try:
        hydra.main(config_path=f"pkg://{CONFIGS}", config_name=command.id, version_base=HYDRA_VERSION)(task)()
    finally:
        sys.argv = argv
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
