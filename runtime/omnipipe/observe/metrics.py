"""The metrics of a gateway, a coordinator and a stage: names, labels, and what to call where.

    registry = Registry()
    metrics = StageMetrics(registry, namespace=..., pipeline=..., stage=..., revision=...)
    metrics.running.set(3)                              # attributes are bound series: plain, cheap, one writing thread
    metrics.step(seconds=0.004, batch=12)
    text = registry.render()

Base units (seconds, bytes). Labels come from the plan and from the closed sets below; never a request id, a path or
anything else that a client chooses: an unknown model is `UNKNOWN_MODEL`.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from omnipipe.observe import buckets
from omnipipe.observe.families import CONTENT_TYPE, Counter, Family, Gauge, Histogram, Registry, WireCounters

__all__ = [
    "CONTENT_TYPE",
    "UNKNOWN_MODEL",
    "CoordinatorMetrics",
    "Counter",
    "EdgeMetrics",
    "End",
    "GatewayMetrics",
    "Gauge",
    "Histogram",
    "Outcome",
    "PipelineLabels",
    "Refusal",
    "Registry",
    "ReplicaState",
    "RetryReason",
    "RouteMetrics",
    "StageEnd",
    "StageMetrics",
    "WireCounters",
]

UNKNOWN_MODEL: Final = "unknown"
"""The model label of a request whose `model` is not served here, or that was refused before it was read."""


class Outcome(StrEnum):
    """How an HTTP request ended."""

    OK = "ok"
    CLIENT_ERROR = "client_error"  # 4xx but 429
    REFUSED = "refused"  # 429, 503: not admitted, may be tried again
    TIMEOUT = "timeout"  # 408, 504
    SERVER_ERROR = "server_error"  # other 5xx, or an error inside a stream
    CLIENT_LEFT = "client_left"


class End(StrEnum):
    """How a coordinator's request ended: exactly one of these each."""

    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


class Refusal(StrEnum):
    """Why a request was not admitted."""

    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    NO_REPLICA = "no_replica"
    DRAINING = "draining"
    INVALID = "invalid"


class RetryReason(StrEnum):
    """Why another attempt was started."""

    REPLICA_LOST = "replica_lost"
    STALLED = "stalled"
    STAGE_FAILED = "stage_failed"  # a stage said the failure is retryable
    SEND_FAILED = "send_failed"


class ReplicaState(StrEnum):
    """What a coordinator thinks of a replica."""

    ROUTABLE = "routable"
    NOT_ACCEPTING = "not_accepting"
    STALLED = "stalled"
    DOWN = "down"


class StageEnd(StrEnum):
    """How a request ended in one stage."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # past its deadline
    LOST = "lost"  # its gateway or a consumer died


class PipelineLabels(NamedTuple):
    """Whose request it was."""

    namespace: str
    pipeline: str
    revision: str


_NOBODYS: Final = PipelineLabels("", "", "")
_PIPELINE: Final = PipelineLabels._fields
_STAGE: Final = ("namespace", "pipeline", "stage", "revision")


class EdgeMetrics:
    """One outgoing edge or output of a stage."""

    __slots__ = ("_ack", "_bytes", "_chunks")

    def __init__(self, chunks: Counter, sent_bytes: Counter, ack: Histogram) -> None:
        self._chunks = chunks
        self._bytes = sent_bytes
        self._ack = ack

    def sent(self, nbytes: int, chunks: int = 1) -> None:
        self._chunks.value += chunks
        self._bytes.value += nbytes

    def acked(self, seconds: float) -> None:
        """From handing a chunk to the wire until its consumer had taken it, on the producer's clock alone."""
        self._ack.observe(seconds)


class StageMetrics:
    """What one stage replica reports. Written by its I/O thread."""

    def __init__(self, registry: Registry, *, namespace: str, pipeline: str, stage: str, revision: str) -> None:
        self._registry = registry
        self._labels = (namespace, pipeline, stage, revision)
        where = self._labels
        self.queued: Gauge = registry.gauge(
            "omnipipe_stage_queued", "Requests that wait for inputs or for their first step.", _STAGE
        ).labels(*where)
        self.running: Gauge = registry.gauge(
            "omnipipe_stage_running", "Requests that the engine works on.", _STAGE
        ).labels(*where)
        self.orphans: Gauge = registry.gauge(
            "omnipipe_stage_orphans", "Payloads kept for a request whose Submit has not come yet.", _STAGE
        ).labels(*where)
        self.orphans_dropped: Counter = registry.counter(
            "omnipipe_stage_orphans_dropped", "Early payloads given up: too many, too large or too long ago.", _STAGE
        ).labels(*where)
        self.rejected: Counter = registry.counter(
            "omnipipe_stage_rejected_messages", "Messages that made no sense here and were dropped.", _STAGE
        ).labels(*where)
        self.step_seconds: Histogram = registry.histogram(
            "omnipipe_stage_step_seconds", "Time of one engine step.", _STAGE, buckets.STEP
        ).labels(*where)
        self.batch_size: Histogram = registry.histogram(
            "omnipipe_stage_batch_size", "Jobs in one engine step.", _STAGE, buckets.BATCH_SIZE
        ).labels(*where)
        ends = registry.counter("omnipipe_stage_requests", "Requests that ended in this stage.", (*_STAGE, "outcome"))
        self._ends = {end: ends.labels(*where, end.value) for end in StageEnd}

    def step(self, *, seconds: float, batch: int) -> None:
        self.step_seconds.observe(seconds)
        self.batch_size.observe(batch)

    def ended(self, end: StageEnd, count: int = 1) -> None:
        self._ends[end].value += count

    def edge(self, name: str) -> EdgeMetrics:
        """The series of one outgoing edge, `source>target`, or output, `stage>text`: bind it once, at start."""
        labels = (*_STAGE, "edge")
        values = (*self._labels, name)
        registry = self._registry
        return EdgeMetrics(
            registry.counter("omnipipe_edge_chunks", "Payloads and chunks sent.", labels).labels(*values),
            registry.counter("omnipipe_edge_bytes", "Bytes sent, tensors included.", labels).labels(*values),
            registry.histogram(
                "omnipipe_edge_ack_seconds", "From sending a chunk until its consumer took it.", labels, buckets.EDGE
            ).labels(*values),
        )

    def watch_wire(self, counters: WireCounters) -> None:
        """The stage's wire: its counters are read at scrape time, from whatever thread scrapes."""
        namespace, pipeline, stage, revision = self._labels
        self._registry.watch_wire(counters, namespace=namespace, pipeline=pipeline, stage=stage, revision=revision)


class CoordinatorMetrics:
    """What one pipeline's coordinator reports. Written by the event loop it lives on."""

    def __init__(self, registry: Registry, *, namespace: str, pipeline: str, revision: str) -> None:
        self._registry = registry
        self._labels = (namespace, pipeline, revision)
        where = self._labels
        self.in_flight: Gauge = registry.gauge(
            "omnipipe_coordinator_in_flight", "Requests admitted and not ended.", _PIPELINE
        ).labels(*where)
        self.queued: Gauge = registry.gauge(
            "omnipipe_coordinator_queued", "Requests that wait for admission.", _PIPELINE
        ).labels(*where)
        self.cancels: Counter = registry.counter(
            "omnipipe_coordinator_cancels", "Requests cancelled by their client.", _PIPELINE
        ).labels(*where)
        self.queue_seconds: Histogram = registry.histogram(
            "omnipipe_coordinator_queue_seconds", "Wait for admission.", _PIPELINE, buckets.FIRST
        ).labels(*where)
        self.late_messages: Counter = registry.counter(
            "omnipipe_coordinator_late_messages", "Messages for an attempt that had already ended.", _PIPELINE
        ).labels(*where)
        self.rejected: Counter = registry.counter(
            "omnipipe_coordinator_rejected_messages", "Messages that made no sense here and were dropped.", _PIPELINE
        ).labels(*where)
        refused = registry.counter(
            "omnipipe_coordinator_admission_refused", "Requests not admitted.", (*_PIPELINE, "reason")
        )
        self._refused = {reason: refused.labels(*where, reason.value) for reason in Refusal}
        retries = registry.counter("omnipipe_coordinator_retries", "New attempts.", (*_PIPELINE, "reason"))
        self._retries = {reason: retries.labels(*where, reason.value) for reason in RetryReason}
        ends = registry.counter("omnipipe_coordinator_requests", "Requests that ended.", (*_PIPELINE, "outcome"))
        self._ends = {end: ends.labels(*where, end.value) for end in End}
        self._replicas: Family[Gauge] = registry.gauge(
            "omnipipe_coordinator_replicas", "Replicas by what the coordinator thinks of them.", (*_STAGE, "state")
        )

    def refused(self, reason: Refusal) -> None:
        self._refused[reason].inc()

    def retried(self, reason: RetryReason) -> None:
        self._retries[reason].inc()

    def ended(self, end: End) -> None:
        self._ends[end].value += 1

    def replicas(self, stage: str, counts: Mapping[ReplicaState, int]) -> None:
        """All states at once; those left out are zero."""
        namespace, pipeline, revision = self._labels
        for state in ReplicaState:
            self._replicas.labels(namespace, pipeline, stage, revision, state.value).set(counts.get(state, 0))

    def watch_wire(self, counters: WireCounters) -> None:
        """The gateway's wire to this pipeline; its `stage` label is empty."""
        namespace, pipeline, revision = self._labels
        self._registry.watch_wire(counters, namespace=namespace, pipeline=pipeline, stage="", revision=revision)


class RouteMetrics:
    """The series of one model of one pipeline on one route. Bind once, use for every request."""

    __slots__ = (
        "_ends", "completion_tokens", "duration", "first_audio", "first_token", "in_flight", "inter_token",
        "prompt_tokens", "response_bytes",
    )  # fmt: skip

    def __init__(self, registry: Registry, pipeline: PipelineLabels, model: str, route: str) -> None:
        labels = (*_PIPELINE, "model", "route")
        where = (*pipeline, model, route)
        self.in_flight: Gauge = registry.gauge(
            "omnipipe_gateway_in_flight", "HTTP requests being answered.", labels
        ).labels(*where)
        self.duration: Histogram = registry.histogram(
            "omnipipe_gateway_request_duration_seconds", "Whole HTTP requests.", labels, buckets.REQUEST
        ).labels(*where)
        self.first_token: Histogram = registry.histogram(
            "omnipipe_gateway_time_to_first_token_seconds",
            "From the request's last byte to the first text of its answer.", labels, buckets.FIRST,
        ).labels(*where)  # fmt: skip
        self.first_audio: Histogram = registry.histogram(
            "omnipipe_gateway_time_to_first_audio_seconds",
            "From the request's last byte to the first sound of its answer.", labels, buckets.FIRST,
        ).labels(*where)  # fmt: skip
        self.inter_token: Histogram = registry.histogram(
            "omnipipe_gateway_inter_token_seconds",
            "Between two pieces of text of one streamed answer.", labels, buckets.INTER_TOKEN,
        ).labels(*where)  # fmt: skip
        self.prompt_tokens: Counter = registry.counter(
            "omnipipe_gateway_prompt_tokens", "Tokens that requests brought.", labels
        ).labels(*where)
        self.completion_tokens: Counter = registry.counter(
            "omnipipe_gateway_completion_tokens", "Tokens that answers held.", labels
        ).labels(*where)
        self.response_bytes: Counter = registry.counter(
            "omnipipe_gateway_response_bytes", "Bytes of answer bodies.", labels
        ).labels(*where)
        ends = registry.counter("omnipipe_gateway_requests", "HTTP requests that ended.", (*labels, "outcome"))
        self._ends = {outcome: ends.labels(*where, outcome.value) for outcome in Outcome}

    def ended(self, outcome: Outcome, seconds: float) -> None:
        self._ends[outcome].inc()
        self.duration.observe(seconds)


class GatewayMetrics:
    """What the HTTP process reports. Written by its event loop.

    `pipelines`: whose each model is, by the name that answers carry. A request that reached none of them is counted
    with the only one if there is only one, else with nobody's."""

    def __init__(self, registry: Registry, pipelines: Mapping[str, PipelineLabels] | None = None) -> None:
        self._registry = registry
        self._pipelines = dict(pipelines or {})
        owners = set(self._pipelines.values())
        self._only = owners.pop() if len(owners) == 1 else _NOBODYS
        self._routes: dict[tuple[str, str], RouteMetrics] = {}
        registry.watch("omnipipe_gateway_tasks", "Asyncio tasks; a number that only grows is a leak.", _tasks)

    def route(self, model: str, route: str) -> RouteMetrics:
        """`model` is a served name or `UNKNOWN_MODEL`, `route` the route's template (`/v1/models/{id}`)."""
        found = self._routes.get((model, route))
        if found is None:
            owner = self._pipelines.get(model, self._only)
            found = self._routes[model, route] = RouteMetrics(self._registry, owner, model, route)
        return found


def _tasks() -> int | None:
    """Known only to a scrape that runs on the loop itself, as the gateway's own does."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return None
