"""The processor cores of this process, its workers' lives, and what the C library does with freed memory."""

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3)'s parameters
NICE = 5  # of what gives way to others
CGROUPS = Path("/sys/fs/cgroup")  # in a container: its own limits


def available_cores() -> int:
    """Cores that this process may use; under torchrun, its share of the machine's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _share(cores)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _share(cores: int) -> int:
    """The cores' time that a container may take (docker --cpus, limits.cpu), rounded up; `cores` without a limit."""
    v1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    for names in (("cpu.max",), v1):
        try:
            quota, period = " ".join((CGROUPS / name).read_text() for name in names).split()
            share = math.ceil(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # no such limit, or "max"
            continue
        if share > 0:  # -1: none
            return share
    return cores


def give_way() -> None:
    """Give the calling thread, and all that it starts, a lower priority. Linux alone: elsewhere threads have none."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


@contextmanager
def bounded_memory(size: int) -> Iterator[None]:
    """Within the block the process may take `size` more bytes; what asks for more gets MemoryError. Linux alone.

    The kernel's own end for a process is no substitute: Kubernetes lets it end the whole container (memory.oom.group).
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = pages * resource.getpagesize() + size
    bounds = [wanted, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def follow_parent() -> None:
    """In a worker process: leave Ctrl-C to the parent, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def keep_freed() -> None:
    """Keep the memory of freed tensors for the next ones.

    By default glibc gives each large block back to the system and asks for it again at the next layer; the page
    faults cost a small EfficientNet almost half of its training speed (docs/results/training-speed.md).
    """
    _set(mmap=1 << 30, trim=(1 << 31) - 1)


def give_back_freed() -> None:
    """Give large freed blocks back at once, as is glibc's default: for a process that decodes huge images."""
    _set(mmap=128 << 10, trim=128 << 10)


def give_back_now() -> None:
    """Give all freed memory back once, whatever is to become of memory that is freed later."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _set(mmap: int, trim: int) -> None:
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library: nothing to tune
    mallopt(MMAP_THRESHOLD, mmap)
    mallopt(TRIM_THRESHOLD, trim)
