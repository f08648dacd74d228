"""What the server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
disable_created_metrics()  # one more series for each, which nothing here needs

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """All figures of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("dfd_requests", "Requests answered", ["route", "method", "status"], registry=registry)
        self.seconds = Histogram(
            "dfd_request_seconds", "Time to the end of the answer", ["route"], buckets=SECONDS, registry=registry
        )
        self.shed = Counter("dfd_shed", "Requests turned away with 503", ["route"], registry=registry)
        self.verdicts = Counter("dfd_images", "Images judged", ["verdict"], registry=registry)
        self.errors = Counter("dfd_image_errors", "Images that could not be used", ["reason"], registry=registry)
        self.batch_images = Histogram("dfd_batch_images", "Images in a forward pass", buckets=SIZES, registry=registry)
        self.batch_seconds = Histogram(
            "dfd_batch_seconds", "Time of a forward pass", buckets=SECONDS, registry=registry
        )
        ProcessCollector(registry=registry)
        for name in ("real", "unsure", "fake"):
            self.verdicts.labels(name)
        for name in ("unusable", "timeout", "crash"):
            self.errors.labels(name)

    def watch(self, images_in_work: Callable[[], int], waiting: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Gauges that are asked for their value when somebody looks."""
        for name, about, value in (
            ("dfd_images_in_work", "Images let in and not yet answered", images_in_work),
            ("dfd_queue_images", "Images that wait for a forward pass", waiting),
            ("dfd_ready", "Whether requests are let in", ready),
        ):
            Gauge(name, about, registry=self.registry).set_function(value)

    def batch(self, size: int, seconds: float) -> None:
        """One forward pass."""
        self.batch_images.observe(size)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
