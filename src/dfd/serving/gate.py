"""Who is let in: a bound on the images in work and on the memory of their requests, in place of a growing queue."""

from collections.abc import Iterator
from contextlib import contextmanager

from dfd.serving.problems import Busy


class Ticket:
    """The place of one request; it counts as one image until it is known how many it holds."""

    def __init__(self, gate: "Gate", size: int) -> None:
        self._gate, self.images, self.bytes = gate, 1, size

    def hold(self, images: int) -> None:
        """Take the places of all images of the request. Raises Busy."""
        others = self._gate.images - self.images
        self._gate.check(others, images)
        self._gate.images += images - self.images
        self.images = images


class Gate:
    """At most `max_images` and `max_bytes` at once; a request that finds nobody before it always gets in.

    For the event loop's thread alone. `images` and `bytes` are in work now, `requests` of people and programs alike.
    """

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self.max_images, self.max_bytes = max_images, max_bytes
        self.images = self.bytes = self.requests = 0
        self.closed = False

    @contextmanager
    def enter(self, size: int) -> Iterator[Ticket]:
        """A place for a request of `size` bytes. Raises Busy."""
        if self.closed:
            raise Busy("the server is shutting down")
        self.check(self.images, 1)
        if self.bytes and self.bytes + size > self.max_bytes:
            raise Busy("the server is busy: requests in work take all the memory set aside for them")
        ticket = Ticket(self, size)
        self.images += 1
        self.bytes += size
        self.requests += 1
        try:
            yield ticket
        finally:
            self.images -= ticket.images
            self.bytes -= size
            self.requests -= 1

    def check(self, others: int, images: int) -> None:
        """Raise Busy unless `images` find a place beside `others`."""
        if others and others + images > self.max_images:
            raise Busy(f"the server is busy: {others} images are in work, and {self.max_images} may be (queue)")
