"""What is counted and measured, for Prometheus. The only module that knows its client library.

A part that has something to report is handed one of the methods here as a plain function, so that it knows neither this
module nor the library. Each costs a few microseconds. Nothing is global: every daemon has a registry of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

# Upper bounds of what is usual and what is not, in seconds.
_REQUESTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COMMITS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_START_LATENCIES: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_DURATIONS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400)

# What a client may put there is not bounded, the values of a label must be.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Gauge:
    """A quantity as it is at the moment of a scrape, for each combination of the labels' values that there is."""

    name: str
    help: str
    labels: Sequence[str]
    values: Iterable[tuple[Sequence[str], float]]


class Metrics:
    """All counters and histograms of one daemon."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._requests = Histogram(
            "abacod_http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ("route", "method", "status"),
            buckets=_REQUESTS,
            registry=self._registry,
        )
        self._by_request: dict[tuple[str, str, int], Histogram] = {}
        self._commits = Histogram(
            "abacod_commit_duration_seconds",
            "Time of one transaction, which holds the writes of one or many requests, with its way to the disk.",
            buckets=_COMMITS,
            registry=self._registry,
        )
        self._writes = Counter("abacod_writes", "Writes in those transactions.", registry=self._registry)
        self._executions = Counter(
            "abacod_executions", "Executions that a worker ended, by status.", ("status",), registry=self._registry
        )
        self._durations = Histogram(
            "abacod_execution_duration_seconds",
            "Time from a container's start to its end.",
            buckets=_DURATIONS,
            registry=self._registry,
        )
        self._start_latencies = Histogram(
            "abacod_execution_start_latency_seconds",
            "Time from a message's arrival to its container's start.",
            buckets=_START_LATENCIES,
            registry=self._registry,
        )

    def request_served(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template of its path, never the path itself."""
        key = (route, method if method in _METHODS else "other", status // 100)
        histogram = self._by_request.get(key)
        if histogram is None:
            # The library takes a lock and makes texts of all values each time.
            histogram = self._by_request[key] = self._requests.labels(route, key[1], f"{key[2]}xx")
        histogram.observe(seconds)

    def committed(self, seconds: float, writes: int) -> None:
        """A transaction with so many requests' writes is on disk, or was refused."""
        self._commits.observe(seconds)
        self._writes.inc(writes)

    def execution_completed(self, start_latency: float, duration: float) -> None:
        """A container ran to its end. Both in seconds; two machines' clocks may differ, so they may be below 0."""
        self._executions.labels("COMPLETE").inc()
        self._start_latencies.observe(max(0.0, start_latency))
        self._durations.observe(max(0.0, duration))

    def execution_failed(self) -> None:
        """An execution ended without a complete run."""
        self._executions.labels("ERROR").inc()

    def exposition(self, gauges: Iterable[Gauge]) -> bytes:
        """Everything counted so far and these gauges, in Prometheus' text format. May run in any thread."""
        # The gauges get a registry that lives for this scrape: two scrapes at once do not mix.
        momentary = CollectorRegistry()
        momentary.register(_Momentary(gauges))
        return generate_latest(self._registry) + generate_latest(momentary)


class _Momentary(Collector):
    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in gauge.values:
                family.add_metric(labels, value)
            yield family
