"""The front door: finds the command, sorts its arguments, runs it through Hydra and words what goes wrong.

Imports neither torch nor, before a command needs it, Hydra: `dfd --help` answers at once.
"""

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dfd import __version__
from dfd.config.typed import assignment
from dfd.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER_ERROR, UserError
from dfd.files import FULL
from dfd.front import completion, help
from dfd.front.arguments import parse
from dfd.front.commands import COMMANDS, Command, find_command
from dfd.front.pipeline import pipeline_of, run_pipeline
from dfd.front.ranks import is_secondary_rank, world
from dfd.front.settings import nearest

EXIT_CLOSED_PIPE = 141  # what a shell reports of a program that ended because nobody read its output


def main(arguments: list[str] | None = None) -> int:
    """Run one `dfd` command line; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        code = EXIT_CLOSED_PIPE
    if code == EXIT_CLOSED_PIPE:  # as in `dfd train --help | head`; Python would complain as it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _reader_has_gone() -> bool:
    """Whether a broken pipe is that of our output, not one to a process of ours."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help"]:
            print(help.overview())
        case ["--version"]:
            print(f"dfd {__version__}")
        case ["--completion", shell] if shell in completion.SHELLS:
            print(completion.script(shell))
        case ["--complete", line]:
            print("\n".join(completion.complete(line)))
        case _:
            command = find_command(arguments)
            if command is None:
                return _complain("dfd", _unknown_command(arguments))
            return _run_command(command, arguments[len(command.name.split()) :])
    return EXIT_OK


def _unknown_command(arguments: list[str]) -> str:
    names = [command.name for command in COMMANDS]
    same_start = [name for name in names if name.split()[0] == arguments[0]]
    found = nearest(" ".join(arguments[:2]), names) or nearest(arguments[0], names)
    meant = " or ".join(f"dfd {name}" for name in same_start) or (found and f"dfd {found}")
    message = f"there is no command {arguments[0]!r}." + (f" Did you mean {meant}?" if meant else "")
    return f"{message}\nCommands are: {', '.join(names)} (dfd --help)"


def _complain(program: str, message: str) -> int:
    print(f"{program}: {message}", file=sys.stderr)
    return EXIT_USER_ERROR


def _run_command(command: Command, arguments: list[str]) -> int:
    def report(error: Exception) -> int:
        if isinstance(error, UserError):
            rank = f" (rank {os.environ['RANK']})" if is_secondary_rank() else ""
            return _complain(f"dfd {command.name}{rank}", str(error))
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return EXIT_CLOSED_PIPE
        if isinstance(error, OSError) and error.errno in FULL:
            place = f": {error.filename}" if error.filename else ""
            return _complain(f"dfd {command.name}", f"{error.strerror}{place}; make room, and run it again")
        traceback.print_exception(error)
        return EXIT_BUG

    runs: list[Path] = []
    try:
        request = parse(command, arguments)
        from dfd.front.run import perform  # late: Hydra takes longer to import than a help page to print

        with _sigterm_as_ctrl_c():
            if (content := pipeline_of(request)) is not None:
                return run_pipeline(content, request, runs, lambda one, made: perform(one, made, report))
            return perform(request, runs, report)
    except UserError as error:  # a mistake on the command line, which every rank finds; one tells
        return EXIT_USER_ERROR if is_secondary_rank() else report(error)
    except Exception as error:
        return report(error)
    except KeyboardInterrupt:
        if not is_secondary_rank():
            print(f"Interrupted.{_how_to_go_on(command, arguments, runs)}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _how_to_go_on(command: Command, arguments: list[str], runs: list[Path]) -> str:
    """The command line that continues an interrupted run, if it left something to continue."""
    if not command.resumable or not runs:
        return ""
    from dfd.front.resume import can_resume, is_done, is_of_multirun

    if not any(can_resume(run) or is_done(run) for run in runs):
        return ""
    if world() > 1 and is_of_multirun(runs[-1]):
        return " To go on: run the jobs that are left one by one, the one that was cut off with resume=true"
    words = [word for word in arguments if not word.startswith("resume=")]
    if any(map(_is_pattern_of_folders, words)):
        here = assignment("hydra.run.dir", runs[-1])
        if is_of_multirun(runs[-1]):
            return f" To go on: run the jobs that are left one by one, the one that was cut off with {here} resume=true"
        rest = shlex.join(word for word in words if not _is_pattern_of_folders(word))
        return f" To go on: dfd {command.name} {rest} {here} resume=true"
    under = " (under torchrun as before)" if "RANK" in os.environ else ""
    return f" To go on{under}: dfd {command.name} {shlex.join([*words, 'resume=true'])}"


def _is_pattern_of_folders(word: str) -> bool:
    """Whether a setting makes folders of runs that are not found again by their names."""
    return word.startswith("hydra.sweep.subdir=") or (word.startswith("hydra.run.") and "${" in word)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the program in the same orderly way as Ctrl-C."""
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)  # a forked worker process dies as it would without us
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
