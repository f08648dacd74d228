"""The processor cores of this process, its workers' lives, and what the C library does with freed memory."""

import ctypes
import multiprocessing
import os
import signal
import threading

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt(3)'s parameters


def available_cores() -> int:
    """Cores that this process may use; under torchrun, its share of the machine's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


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


def _set(mmap: int, trim: int) -> None:
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library: nothing to tune
    mallopt(MMAP_THRESHOLD, mmap)
    mallopt(TRIM_THRESHOLD, trim)
