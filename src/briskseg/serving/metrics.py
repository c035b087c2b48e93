"""What Prometheus reads, in its own registry, so that a program may hold several servers."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

TYPE = CONTENT_TYPE_PLAIN_0_0_4
STAGES = ("receive", "wait", "read", "resize", "inference", "decode", "write")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # s


class Metrics:
    """Histograms of seconds by stage and by route, and counts of answers, refusals and drops."""

    def __init__(self, waiting: Callable[[], int], streams: Callable[[], int]) -> None:
        """waiting: how many accepted requests no worker has begun with. streams: how many are
        open."""
        registry = self._registry = CollectorRegistry()
        self._stages = Histogram(
            "briskseg_stage_seconds",
            f"Time of each stage: {', '.join(STAGES)}.",
            ("stage",),
            buckets=_BUCKETS,
            registry=registry,
        )
        for stage in STAGES:  # so that those that have not run yet are there too
            self._stages.labels(stage)
        self._requests = Histogram(
            "briskseg_request_seconds",
            "Time from a request's headers to its answer's end, refused ones included.",
            ("route",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._answers = Counter(
            "briskseg_requests", "Answers by status.", ("route", "status"), registry=registry
        )
        self._refusals = Counter(
            "briskseg_refusals", "Requests that were not done.", ("reason",), registry=registry
        )
        self._dropped = Counter(
            "briskseg_frames_dropped", "Frames that gave way to newer ones.", registry=registry
        )
        queue = Gauge(
            "briskseg_queue_depth", "Accepted requests that wait for a worker.", registry=registry
        )
        queue.set_function(waiting)
        Gauge("briskseg_streams", "Open streams.", registry=registry).set_function(streams)

    def stage(self, name: str, seconds: float) -> None:
        """Count a stage's time; from any thread."""
        self._stages.labels(name).observe(seconds)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(route, str(status)).inc()
        self._requests.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a request that was not done."""
        self._refusals.labels(reason).inc()

    def dropped(self) -> None:
        """Count a frame that gave way to a newer one."""
        self._dropped.inc()

    def text(self) -> bytes:
        """All of it in Prometheus' format."""
        return generate_latest(self._registry)
