"""What a gateway, a coordinator and a stage report: names, units, labels."""

import re

from prometheus_client.parser import text_string_to_metric_families

from omnipipe.observe.metrics import (
    CoordinatorMetrics,
    End,
    GatewayMetrics,
    Outcome,
    PipelineLabels,
    Refusal,
    Registry,
    ReplicaState,
    RetryReason,
    StageEnd,
    StageMetrics,
)

ALLOWED_LABELS = {
    "namespace", "pipeline", "stage", "revision", "model", "route", "outcome", "reason", "state", "edge", "le",
}  # fmt: skip


def everything() -> Registry:
    registry = Registry(process=False)
    stage = StageMetrics(registry, namespace="n", pipeline="p", stage="s", revision="r")
    stage.step(seconds=0.004, batch=3)
    stage.ended(StageEnd.DONE)
    edge = stage.edge("s>t")
    edge.sent(100, 2)
    edge.acked(0.001)
    stage.watch_wire(lambda: {"sent_bytes": 1})
    for pipeline in ("p", "q"):
        coordinator = CoordinatorMetrics(registry, namespace="n", pipeline=pipeline, revision="r")
        coordinator.replicas("s", {ReplicaState.ROUTABLE: 2})
        coordinator.refused(Refusal.QUEUE_FULL)
        coordinator.retried(RetryReason.REPLICA_LOST)
        coordinator.ended(End.RESULT)
        coordinator.watch_wire(lambda: {"sent_bytes": 1})
    gateway = GatewayMetrics(registry)
    gateway.route("m", "/v1/chat/completions").ended(Outcome.OK, 0.2)
    return registry


def value(registry: Registry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"{name}{labels} is not there"
    return found


def test_names_carry_units_and_labels_are_of_the_closed_set() -> None:
    for family in text_string_to_metric_families(everything().render().decode()):
        assert family.name.startswith("omnipipe_")
        assert family.documentation
        assert not re.search(r"_(ms|millis|us|ns|kb|mb)\b", family.name)
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_size"))
        assert {label for sample in family.samples for label in sample.labels} <= ALLOWED_LABELS


def test_two_pipelines_share_a_gateways_registry() -> None:
    registry = everything()
    for pipeline in ("p", "q"):
        where = {"namespace": "n", "pipeline": pipeline, "revision": "r"}
        assert value(registry, "omnipipe_coordinator_requests_total", **where, outcome="result") == 1
        assert value(registry, "omnipipe_coordinator_retries_total", **where, reason="replica_lost") == 1
        assert value(registry, "omnipipe_coordinator_admission_refused_total", **where, reason="queue_full") == 1
        assert value(registry, "omnipipe_coordinator_replicas", **where, stage="s", state="routable") == 2
        assert value(registry, "omnipipe_coordinator_replicas", **where, stage="s", state="down") == 0


def test_series_of_closed_sets_exist_before_anything_happened() -> None:
    """So that `rate()` sees the first increase, too."""
    registry = Registry()
    StageMetrics(registry, namespace="n", pipeline="p", stage="s", revision="r")
    where = {"namespace": "n", "pipeline": "p", "stage": "s", "revision": "r"}
    for end in StageEnd:
        assert value(registry, "omnipipe_stage_requests_total", **where, outcome=end.value) == 0


def test_a_stages_edges() -> None:
    where = {"namespace": "n", "pipeline": "p", "stage": "s", "revision": "r", "edge": "s>t"}
    registry = everything()
    assert value(registry, "omnipipe_edge_chunks_total", **where) == 2
    assert value(registry, "omnipipe_edge_bytes_total", **where) == 100
    assert value(registry, "omnipipe_edge_ack_seconds_count", **where) == 1


def test_a_route_is_bound_once() -> None:
    gateway = GatewayMetrics(Registry())
    assert gateway.route("m", "/v1/models") is gateway.route("m", "/v1/models")
    assert gateway.route("m", "/v1/models") is not gateway.route("n", "/v1/models")


def test_a_request_is_counted_with_its_pipeline() -> None:
    registry = Registry(process=False)
    ours, theirs = PipelineLabels("n", "ours", "r1"), PipelineLabels("n", "theirs", "r2")
    gateway = GatewayMetrics(registry, {"a": ours, "b": theirs})
    for model in ("a", "b", "unknown"):
        gateway.route(model, "/v1/models").ended(Outcome.OK, 0.1)

    rest = {"route": "/v1/models", "outcome": "ok"}
    name = "omnipipe_gateway_requests_total"
    assert value(registry, name, model="a", **ours._asdict(), **rest) == 1
    assert value(registry, name, model="b", **theirs._asdict(), **rest) == 1
    assert value(registry, name, model="unknown", namespace="", pipeline="", revision="", **rest) == 1


def test_what_reached_no_pipeline_is_counted_with_the_only_one() -> None:
    registry = Registry(process=False)
    only = PipelineLabels("n", "p", "r")
    GatewayMetrics(registry, {"a": only}).route("unknown", "other").ended(Outcome.CLIENT_ERROR, 0.1)

    rest = {"model": "unknown", "route": "other", "outcome": "client_error"}
    assert value(registry, "omnipipe_gateway_requests_total", **only._asdict(), **rest) == 1


async def test_a_scrape_on_the_loop_counts_its_tasks() -> None:
    registry = Registry(process=False)
    GatewayMetrics(registry)
    assert value(registry, "omnipipe_gateway_tasks") >= 1


def test_a_scrape_beside_the_loop_does_not_guess() -> None:
    registry = Registry(process=False)
    GatewayMetrics(registry)
    assert registry.get_sample_value("omnipipe_gateway_tasks") is None
