"""The time that may be spent on one video."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Seconds of work; what goes by within `paused` does not count."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, negative when it is spent."""
        return self._end - time.monotonic()

    def part(self, share: float) -> "Budget":
        """A budget of its own: a share of what is left."""
        return Budget(self.left * share)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Such as while another process reads what was made."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - started
