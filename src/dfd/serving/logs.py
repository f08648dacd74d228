"""One JSON line a request on stdout, with neither content nor names of pictures.

Lines are written by a thread of their own: whoever reads them may be slow, and the server does not wait for it.
"""

import json
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any, TextIO

LINES = 10_000  # that may wait for a slow reader; later ones are dropped, and counted


class Log:
    """Writes lines in the order of `write`."""

    def __init__(self, to: TextIO | None = None) -> None:
        self._to = to
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def write(self, event: str, **fields: Any) -> None:
        """Add one line."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._queue.put_nowait({"time": now, "event": event, **fields})
        except queue.Full:
            self._dropped += 1

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left, as far as the reader takes it in that time."""
        end = time.monotonic() + seconds
        while not self._queue.empty() and time.monotonic() < end:
            time.sleep(0.01)
        try:
            self._queue.put_nowait(None)
            self._thread.join(max(0.0, end - time.monotonic()))
        except queue.Full:
            pass

    def _work(self) -> None:
        while (line := self._queue.get()) is not None:
            if self._dropped:
                line["dropped"], self._dropped = self._dropped, 0
            try:
                print(json.dumps(line), file=self._to or sys.stdout, flush=True)
            except (OSError, ValueError):  # the reader has gone; people are still served
                continue
