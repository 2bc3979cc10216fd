"""The operator's own metrics. A registry of its own: nothing of another library's default one leaks in."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PREFIX: Final = "omnipipe_operator"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.reconciles = Counter(
            f"{_PREFIX}_reconcile_total", "Looks at a pipeline, by how they ended: settled (nothing to write), "
            "changed, stale, error.", ["result"], registry=self.registry,
        )  # fmt: skip
        self.reconcile_seconds = Histogram(
            f"{_PREFIX}_reconcile_duration_seconds", "How long a look at a pipeline took, its writes included.",
            buckets=_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.writes = Counter(
            f"{_PREFIX}_writes_total", "Writes to the API server.", ["kind", "verb"], registry=self.registry
        )
        self.calls = Counter(
            f"{_PREFIX}_api_requests_total",
            "Calls to the API server.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.api_errors = Counter(
            f"{_PREFIX}_api_errors_total", "Calls that the API server refused or did not answer (code 0).", ["code"],
            registry=self.registry,
        )  # fmt: skip
        self.watch_events = Counter(
            f"{_PREFIX}_watch_events_total", "Events that watches delivered.", ["kind", "type"], registry=self.registry
        )
        self.leader = Gauge(f"{_PREFIX}_leader", "1 while this process leads and writes.", registry=self.registry)
        self.webhook = Counter(
            f"{_PREFIX}_webhook_requests_total", "Admission reviews, by answer: allowed, denied, error.", ["result"],
            registry=self.registry,
        )  # fmt: skip
        for result in ("settled", "changed", "stale", "error"):
            self.reconciles.labels(result)

    def watch(
        self,
        depth: Callable[[], float],
        oldest_s: Callable[[], float],
        conditions: Callable[[], Mapping[tuple[str, str], int]],
    ) -> None:
        """What is counted when somebody asks. `conditions`: (type, status) -> pipelines."""
        gauge = Gauge(f"{_PREFIX}_queue_depth", "Pipelines that wait for a worker.", registry=self.registry)
        gauge.set_function(depth)
        gauge = Gauge(
            f"{_PREFIX}_queue_oldest_seconds", "How long the longest waiting of them has waited.",
            registry=self.registry,
        )  # fmt: skip
        gauge.set_function(oldest_s)
        self.registry.register(_Conditions(conditions))

    def called(self, verb: str, resource: str, code: int) -> None:
        self.calls.labels(verb, resource, str(code)).inc()
        if not 200 <= code < 400:
            self.api_errors.labels(str(code)).inc()

    def heard(self, kind: str, event: str) -> None:
        self.watch_events.labels(kind, event).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class _Conditions(Collector):
    def __init__(self, count: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._count = count

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            f"{_PREFIX}_pipelines", "Pipelines, by their conditions.", labels=["condition", "status"]
        )
        for (condition, status), count in sorted(self._count().items()):
            family.add_metric([condition, status], count)
        return [family]
