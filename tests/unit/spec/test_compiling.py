from typing import Any

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.compiler import compile_plan
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.manifest import Pipeline
from omnipipe.spec.plan import EdgeKind, Placement, Plan
from omnipipe.spec.reader import read_object


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {"model": {"family": "echo"}} | spec,
    }


def compiled(**spec: Any) -> Plan:
    one = read_object(manifest(**spec), find_family, family_names())
    return one.compile(lambda stage, replica: f"ipc:///run/{stage}-{replica}.sock")


CUSTOM: dict[str, Any] = {
    "stages": [{"name": "in", "type": "ingest"}, {"name": "w", "type": "words"}, {"name": "p", "type": "pitch"},
               {"name": "out", "type": "compose"}, {"name": "synth"}],
    "edges": [{"from": "in", "to": "w"}, {"from": "in", "to": "p"}, {"from": "w", "to": "out"},
              {"from": "p", "to": "out"}, {"from": "out", "to": "synth", "windowChunks": 4, "windowBytes": 4096}],
    "outputs": [{"name": "audio", "stage": "synth"}],
}  # fmt: skip


def test_a_family_alone_is_a_whole_plan() -> None:
    plan = compiled()

    assert [stage.name for stage in plan.stages] == ["ingest", "words", "pitch", "compose", "synth"]
    assert plan.stage("synth").addresses == ("ipc:///run/synth-0.sock",)
    assert [(edge.source, edge.target) for edge in plan.edges if edge.kind is EdgeKind.STREAM] == [("compose", "synth")]
    assert [(output.name, output.stage, output.type) for output in plan.outputs] == [
        ("text", "compose", "text"),
        ("audio", "synth", "audio"),
    ]
    assert plan.gateway.served_names == ("assistant",)
    assert plan.source is None


def test_overrides_reach_the_plan() -> None:
    plan = compiled(
        stages=[
            {
                "name": "synth",
                "replicas": 3,
                "maxRunning": 7,
                "engine": {"maxBatch": 4, "maxCost": 99, "maxWaitMs": 2, "placement": "thread"},
                "params": {"delay_ms": 5, "chunks": 2},
            }
        ],
        gateway={
            "servedModelNames": ["a", "b"],
            "maxInFlight": 9,
            "maxQueued": 8,
            "queueTimeoutSeconds": 7,
            "requestTimeoutSeconds": 60,
            "maxRetries": 5,
            "media": {
                "allowedHosts": ["media.example.com", "*.example.org"],
                "allowedNetworks": ["10.1.2.0/24"],
                "allowedFolders": ["/srv/media"],
                "maxItems": 1,
                "maxBytes": 2,
                "maxTotalBytes": 3,
                "maxPixels": 4,
                "maxSeconds": 5,
                "fetchTimeoutSeconds": 6,
            },
        },
        transport={
            "heartbeatSeconds": 0.5,
            "deadAfterSeconds": 2,
            "stalledAfterSeconds": 30,
            "inlineLimitBytes": 100,
            "sharedMemoryBytes": 1 << 21,
            "maxMessageBytes": 5000,
        },
    )
    synth = plan.stage("synth")

    assert len(synth.addresses) == 3
    assert synth.max_running == 7
    assert (synth.engine.max_batch, synth.engine.max_cost, synth.engine.max_wait_ms) == (4, 99, 2.0)
    assert synth.engine.placement is Placement.THREAD
    assert (synth.params["delay_ms"], synth.params["chunks"], synth.params["chunk_bytes"]) == (5.0, 2, 4800)
    assert plan.gateway.model_dump() == {
        "served_names": ("a", "b"),
        "max_in_flight": 9,
        "max_queued": 8,
        "queue_timeout_s": 7.0,
        "request_timeout_s": 60.0,
        "max_retries": 5,
        "media": {
            "allowed_hosts": ("media.example.com", "*.example.org"),
            "allowed_networks": ("10.1.2.0/24",),
            "allowed_folders": ("/srv/media",),
            "max_items": 1,
            "max_bytes": 2,
            "max_total_bytes": 3,
            "max_pixels": 4,
            "max_seconds": 5.0,
            "fetch_timeout_s": 6.0,
        },
    }
    assert plan.transport.model_dump() == {
        "heartbeat_s": 0.5,
        "dead_after_s": 2.0,
        "stalled_after_s": 30.0,
        "inline_limit_bytes": 100,
        "shm_bytes": 1 << 21,
        "max_message_bytes": 5000,
        "curve": False,
    }
    assert plan.stage("words").engine.max_batch == 32


def test_a_custom_graph_is_all_there_is() -> None:
    plan = compiled(**CUSTOM)
    last = plan.edges[-1]

    assert [(stage.name, stage.type) for stage in plan.stages] == [
        ("in", "ingest"), ("w", "words"), ("p", "pitch"), ("out", "compose"), ("synth", "synth"),
    ]  # fmt: skip
    assert [(edge.source, edge.port, edge.target, edge.input) for edge in plan.edges[2:]] == [
        ("w", "pieces", "out", "pieces"),
        ("p", "pitches", "out", "pitches"),
        ("out", "notes", "synth", "notes"),
    ]
    assert (last.window_chunks, last.window_bytes) == (4, 4096)
    assert [output.name for output in plan.outputs] == ["audio"]


def test_one_address_for_all_replicas_counts_once() -> None:
    one = read_object(manifest(stages=[{"name": "synth", "replicas": 3}]), find_family, family_names())
    plan = one.compile(lambda stage, replica: f"dns+tcp://assistant-{stage}:7600", curve=True)

    assert plan.stage("synth").addresses == ("dns+tcp://assistant-synth:7600",)
    assert plan.transport.curve


def test_the_revision_is_the_same_for_what_cohorts_may_differ_in() -> None:
    assert (
        compiled(
            stages=[{"name": "synth", "replicas": 5, "maxRunning": 3}],
            gateway={"maxInFlight": 3},
            transport={"heartbeatSeconds": 0.1},
        ).revision
        == compiled().revision
    )
    reordered = {**CUSTOM, "stages": CUSTOM["stages"][::-1], "edges": CUSTOM["edges"][::-1]}
    assert compiled(**reordered).revision == compiled(**CUSTOM).revision


def test_the_revision_differs_for_what_must_not_be_mixed() -> None:
    plans = [
        compiled(),
        compiled(stages=[{"name": "synth", "params": {"delay_ms": 1}}]),
        compiled(stages=[{"name": "synth", "engine": {"maxBatch": 1}}]),
        compiled(**CUSTOM),
        compiled(**{**CUSTOM, "edges": [*CUSTOM["edges"][:4], {"from": "out", "to": "synth"}]}),
    ]

    assert len({plan.revision for plan in plans}) == len(plans)


def test_the_revision_stays_what_it_was() -> None:
    """A change here rolls every running cohort on the next upgrade: be sure that it is meant."""
    assert compiled().revision == "f7290ac8"


def test_a_number_is_the_same_with_and_without_a_fraction() -> None:
    one, other = (compiled(stages=[{"name": "synth", "params": {"delay_ms": delay}}]) for delay in (1, 1.0))

    assert one == other
    assert one.to_json() == other.to_json()


def test_a_graph_that_does_not_hold_together_is_not_compiled() -> None:
    family = find_family("echo")
    assert family is not None
    broken = Pipeline.model_validate(manifest(stages=[{"name": "sinth"}]))

    with pytest.raises(ManifestError, match=r'spec\.stages\[0\]\.name: .* did you mean "synth"'):
        compile_plan(broken, family, lambda stage, replica: "ipc:///x")
