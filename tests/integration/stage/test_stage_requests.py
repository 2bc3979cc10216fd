"""Requests through real stage processes: streams, slow readers, cancels, deaths of others."""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.stage.rig import Gateway, Replica, eventually, make_plan

from omnipipe.errors import ErrorKind
from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Placement, Plan
from omnipipe.spec.reader import read_object
from omnipipe.wire.messages import Failed, Fed, Output, Submit
from omnipipe.wire.value import Value

Start = Callable[..., Replica]
Connect = Callable[..., Gateway]


def fed_of(gateway: Gateway, plan: Plan) -> set[str]:
    """The stages that have said, one way or the other, that they have all their inputs."""
    owed_by = {output.name: output.stage for output in plan.outputs}
    said = {fed.stage for fed in gateway.got(Fed)}
    return said | {owed_by[output.output] for output in gateway.got(Output) if output.fed}


@pytest.mark.parametrize("placement", list(Placement))
def test_a_stream_through_two_stages(tmp_path: Path, start: Start, connect: Connect, placement: Placement) -> None:
    plan = make_plan(tmp_path, placement)
    for stage in ("speak", "sing"):
        start(stage, of=plan)
    gateway = connect("speak", "sing", of=plan)
    gateway.until(lambda: all(load.accepting for load in gateway.loads.values()) and gateway.loads, "loaded")
    gateway.submit("r1", outputs=("text", "audio"), speak={"count": 500})
    assert gateway.text("r1") == [str(n) for n in range(500)]
    assert gateway.text("r1", "audio") == [str(n) for n in range(500)]
    gateway.until(lambda: fed_of(gateway, plan) == {"sing"}, "the stage with a source is fed")
    assert gateway.got(Output)[-1].meta is not None or gateway.got(Output)[-1].output == "audio"


def test_the_echo_pipeline_with_its_fan_in(tmp_path: Path, start: Start, connect: Connect) -> None:
    manifest = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "echo"},
        "spec": {"model": {"family": "echo"}},
    }
    plan = read_object(manifest, find_family, family_names()).compile(
        lambda stage, replica: f"ipc://{tmp_path}/s/{stage}-{replica}.sock"
    )
    names = [stage.name for stage in plan.stages]
    for name in names:
        start(name, of=plan, events_dir=str(tmp_path / "events"))
    gateway = connect(*names, of=plan)
    for name in names:
        targets = {edge.target: plan.stage(edge.target).addresses[0] for edge in plan.edges if edge.source == name}
        sources = {edge.source: gateway.peers[edge.source].name for edge in plan.edges if edge.target == name}
        outputs = [output.name for output in plan.outputs if output.stage == name]
        value: Value = {"text": "so it goes", "max_tokens": None, "stop": [], "voice": "alloy", "prompt_tokens": 3}
        gateway.say(name, Submit("r1", "q1", 30.0, sources, targets, outputs, None, None if sources else value))
    assert "".join(gateway.text("r1")) == "so it goes"
    assert any(gateway.text("r1", "audio"))
    fed = {"words", "pitch", "compose", "synth"}
    gateway.until(lambda: fed_of(gateway, plan) == fed, "all stages that have a source are fed")
    eventually(lambda: len(list((tmp_path / "events").glob("*.jsonl"))) == len(names), "events of every stage")


def test_a_slow_reader_pauses_its_own_request_in_bounded_memory(start: Start, connect: Connect) -> None:
    speak = start("speak")
    gateway = connect()
    gateway.submit("warm", speak={"count": 300, "size": 65536})
    gateway.text("warm")
    before = speak.rss_bytes()
    gateway.unread.add("slow")
    gateway.submit("slow", speak={"count": 3000, "size": 65536})
    gateway.submit("quick", speak={"count": 300})
    assert len(gateway.text("quick")) == 300
    gateway.until(lambda: len(gateway.got(Output, "slow")) == 64, "all that has room")
    gateway.idle(0.3)
    assert len(gateway.got(Output, "slow")) == 64
    assert speak.rss_bytes() - before < 32 << 20
    gateway.unread.clear()
    gateway.messages.clear()
    gateway.cancel("slow")
    eventually(lambda: speak.metric("omnipipe_stage_running") == 0, "the slow request freed")


def test_a_slow_reader_at_the_end_pauses_the_whole_chain(start: Start, connect: Connect) -> None:
    speak, sing = start("speak"), start("sing")
    gateway = connect("speak", "sing")
    gateway.unread.add("slow")
    gateway.submit("slow", outputs=("audio",), speak={"count": 100_000, "size": 100})
    gateway.submit("quick", outputs=("audio",), speak={"count": 200})
    assert len(gateway.text("quick", "audio")) == 200
    eventually(
        lambda: sing.metric("omnipipe_edge_chunks_total", edge="sing>audio") == 200 + 64, "all that has room was sent"
    )
    gateway.idle(0.3)
    sent = speak.metric("omnipipe_edge_chunks_total", edge="speak>sing")
    assert sent < 200 + 64 + 2 * 32 + 1
    assert sing.metric("omnipipe_edge_chunks_total", edge="sing>audio") == 200 + 64
    gateway.cancel("slow")
    eventually(lambda: sing.metric("omnipipe_stage_running") + speak.metric("omnipipe_stage_running") == 0, "freed")


def test_a_cancel_frees_the_request(start: Start, connect: Connect) -> None:
    speak = start("speak")
    gateway = connect()
    gateway.submit("r1", speak={"count": 1000, "delay_s": 0.01})
    gateway.wait_for(Output, "r1")
    gateway.until(lambda: gateway.loads["speak"].running == 1, "the load report")
    gateway.cancel("r1")
    gateway.until(lambda: gateway.loads["speak"].running == 0, "the request freed")
    assert speak.metric("omnipipe_stage_requests_total", outcome="cancelled") == 1
    assert gateway.got(Failed) == []


def test_a_downstream_replica_that_is_killed_fails_its_requests_retryably(start: Start, connect: Connect) -> None:
    start("speak")
    sing = start("sing")
    gateway = connect("speak", "sing")
    gateway.submit("r1", outputs=("audio",), speak={"count": 1000, "delay_s": 0.01})
    gateway.wait_for(Output, "r1")
    sing.process.kill()
    failed = gateway.wait_for(Failed, "r1")
    assert (failed.stage, failed.kind, failed.retryable) == ("speak", ErrorKind.UNAVAILABLE, True)
    gateway.submit("r2", speak={"count": 3})
    assert len(gateway.text("r2")) == 3


def test_a_downstream_replica_that_never_comes_fails_the_request(start: Start, connect: Connect) -> None:
    start("speak")
    gateway = connect()
    gateway.say(
        "speak", Submit("r1", "q", 60.0, {}, {"sing": gateway.plan.stage("sing").addresses[0]}, [], {}, "hello")
    )
    failed = gateway.wait_for(Failed, "r1")
    assert (failed.kind, failed.retryable) == (ErrorKind.UNAVAILABLE, True)


def test_a_gateway_that_is_killed_frees_its_requests(
    tmp_path: Path, start: Start, connect: Connect, owned: ExitStack
) -> None:
    speak = start("speak")
    gateway = connect()
    doomed = owned.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.stage.doomed_gateway", str(tmp_path / "plan.json")],
            stdout=subprocess.PIPE,
        )
    )
    owned.callback(doomed.kill)
    assert doomed.stdout is not None
    assert doomed.stdout.readline() == b"submitted\n"
    eventually(lambda: speak.metric("omnipipe_stage_running") == 1, "the request runs")
    doomed.send_signal(signal.SIGKILL)
    eventually(lambda: speak.metric("omnipipe_stage_running") == 0, "the request freed")
    assert speak.metric("omnipipe_stage_requests_total", outcome="lost") == 1
    gateway.submit("r1")
    assert gateway.text("r1") == ["0"]


def test_submits_that_make_no_sense_end_in_an_error_not_in_a_crash(start: Start, connect: Connect) -> None:
    speak = start("speak")
    gateway = connect()
    wrong: list[Submit] = [
        Submit("w1", "q", 60.0, {"nobody": "nobody-0"}, {}, ["text"]),
        Submit("w2", "q", 60.0, {}, {"sing": "tcp://169.254.169.254:80"}, []),
        Submit("w3", "q", 60.0, {}, {}, ["audio"]),
        Submit("w4", "q", float("nan"), {}, {}, ["text"]),
        Submit("w5", "q", 60.0, {}, {}, ["text"], [1, 2]),
    ]
    for submit in wrong:
        gateway.say("speak", submit)
    for submit in wrong:
        assert not gateway.wait_for(Failed, submit.rid).retryable
    assert speak.metric("omnipipe_stage_rejected_messages_total") == 4
    gateway.submit("r1")
    assert gateway.text("r1") == ["0"]


def test_a_deadline_ends_a_request_that_is_in_the_engine(start: Start, connect: Connect) -> None:
    start("speak")
    gateway = connect()
    gateway.submit("r1", ttl_s=0.3, speak={"delay_s": 60.0})
    assert gateway.wait_for(Failed, "r1").kind == ErrorKind.DEADLINE


def test_two_gateways_side_by_side(plan: Plan, start: Start, connect: Connect) -> None:
    start("speak")
    one, two = connect(name="one"), connect(name="two")
    one.submit("a", speak={"count": 50})
    two.submit("b", speak={"count": 50})
    assert len(one.text("a")) == len(two.text("b")) == 50
    assert {o.rid for o in one.got(Output)} == {"a"}
