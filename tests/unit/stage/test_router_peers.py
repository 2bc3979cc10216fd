"""Who dies, who lies: deaths of gateways and neighbours, and messages that make no sense."""

from typing import Any

import pytest
from tests.unit.stage.stand import MID, SINK, TAIL, Stand, plan, submit

from omnipipe.errors import ErrorKind
from omnipipe.stage.loop import Stop
from omnipipe.wire.messages import Cancel, Chunk, Failed, Fed, Output, Payload, Submit
from omnipipe.wire.port import PeerUp


@pytest.fixture
def stand() -> Stand:
    return Stand()


def to_tail(rid: str = "r1", **params: Any) -> Submit:
    params = params or {"port": "notes", "count": 9}
    return submit(rid, targets={"tail": TAIL}, outputs=[], params=params)


def left(rid: str = "r1") -> Payload:
    return Payload(rid, "left", "left", 1)


def the_failure(stand: Stand) -> Failed:
    (message,) = stand.heard(stand.gateway, Failed)
    return message


def test_a_gateway_takes_its_own_requests_with_it(stand: Stand) -> None:
    other = stand.add_gateway("other")
    stand.settle()
    stand.say(stand.gateway, submit("r1"), submit("r2", params={"wait": True}, sources=["ticks"]))
    stand.say(other, submit("r3"))
    stand.network.kill(stand.gateway)
    stand.settle()
    assert stand.router.live == 1
    assert stand.engine.load().running == 0
    stand.say(stand.left, left("r1"), left("r3"))
    assert [o.rid for o in stand.heard(other, Output)] == ["r3"]


def test_a_dead_consumer_fails_the_requests_that_still_need_it(stand: Stand) -> None:
    stand.say(stand.gateway, to_tail("r1"), to_tail("r2", emit=[["notes", 1, True]]), submit("r3"))
    stand.say(stand.left, left("r1"), left("r2"))
    stand.network.kill(stand.tail)
    stand.settle()
    message = the_failure(stand)
    assert (message.rid, message.kind, message.retryable) == ("r1", ErrorKind.UNAVAILABLE, True)
    assert "tail" in message.message
    stand.say(stand.left, left("r3"))
    assert [o.rid for o in stand.heard(stand.gateway, Output)] == ["r3"]


def test_a_consumer_that_is_not_there_yet_is_waited_for(stand: Stand) -> None:
    stand.network.kill(stand.sink)
    stand.settle()
    params = {"emit": [["whole", "w"]]}
    stand.say(stand.gateway, submit(targets={"sink": SINK}, outputs=[], params=params))
    stand.say(stand.left, left())
    assert stand.router.live == 1
    stand.sink = stand._wire(stand.sink.identity.role, "sink", listen=SINK)
    stand.settle()
    assert [p.value for p in stand.heard(stand.sink, Payload)] == ["w"]
    assert stand.router.live == 0


def test_a_stream_that_waits_for_its_consumer_stands_still_and_then_flows(stand: Stand) -> None:
    stand.network.kill(stand.tail)
    stand.settle()
    stand.say(stand.gateway, to_tail())
    stand.say(stand.left, left())
    assert stand.engine.load().steps == 1
    stand.tail = stand._wire(stand.tail.identity.role, "tail", listen=TAIL)
    stand.settle()
    assert [c.seq for c in stand.heard(stand.tail, Chunk)] == [0, 1, 2, 3]


def test_a_consumer_that_does_not_come_fails_the_request(stand: Stand) -> None:
    stand.network.kill(stand.tail)
    stand.settle()
    stand.say(stand.gateway, to_tail())
    stand.say(stand.left, left())
    stand.pass_time(1.9)
    assert stand.router.live == 1
    stand.pass_time(0.2)
    assert the_failure(stand).retryable
    assert stand.router.live == 0


def test_a_producer_that_dies_in_the_middle_of_a_stream_fails_the_request(stand: Stand) -> None:
    stand.add_upstream("ticks", "ticks-1")
    stand.settle()
    for rid, producer in (("r1", "ticks"), ("r2", "ticks-1")):
        stand.say(stand.gateway, submit(rid, sources={"ticks": producer}, params={"copy": "text"}))
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "x"))
    stand.network.kill(stand.ticks)
    stand.settle()
    message = the_failure(stand)
    assert (message.rid, message.retryable) == ("r1", True)
    assert stand.router.live == 1


def test_a_producer_takes_all_that_still_wait_for_it(stand: Stand) -> None:
    """Also those it has sent nothing for yet, and whatever other replicas of its stage there are."""
    stand.add_upstream("left", "left-1")
    stand.settle()
    stand.say(stand.gateway, submit("r1"), submit("r2", sources={"left": "left-1"}))
    stand.network.kill(stand.left)
    stand.settle()
    assert the_failure(stand).rid == "r1"
    assert stand.router.live == 1


def test_data_of_another_replica_is_not_taken(stand: Stand) -> None:
    other = stand.add_upstream("left", "left-1")
    stand.settle()
    stand.say(stand.gateway, submit())
    stand.say(other, left())
    assert (stand.router.live, stand.rejected) == (1, 1)
    stand.say(stand.left, left())
    assert [output.value for output in stand.heard(stand.gateway, Output)] == ["hello"]


def test_a_producer_of_others_takes_nothing_with_it(stand: Stand) -> None:
    stand.say(stand.gateway, submit("r1"), submit("r2", sources=["right"]))
    stand.network.kill(stand.left)
    stand.settle()
    assert the_failure(stand).rid == "r1"
    assert stand.router.live == 1


def test_the_early_part_of_a_stream_goes_with_its_producer(stand: Stand) -> None:
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "x"))
    stand.network.kill(stand.ticks)
    stand.settle()
    stand.say(stand.gateway, submit(sources=["ticks"]))
    assert the_failure(stand).retryable


@pytest.mark.parametrize(
    "fields",
    [
        {"sources": ["nobody"]},
        {"sources": ["tail"]},
        {"sources": []},
        {"targets": {"left": "fake://left"}},
        {"targets": {"nobody": TAIL}},
        {"targets": {"tail": SINK}},
        {"targets": {"tail": "tcp://evil.example:80"}},
        {"targets": {"tail": ""}},
        {"outputs": ["audio"]},
        {"params": [1]},
    ],
)
def test_a_submit_that_the_plan_does_not_know_fails_and_is_counted(stand: Stand, fields: dict[str, Any]) -> None:
    stand.say(stand.gateway, submit(**fields))
    message = the_failure(stand)
    assert (message.kind, message.message, message.retryable) == (ErrorKind.INTERNAL, "stage 'mid' failed", False)
    assert stand.rejected == 1
    assert stand.router.live == 0


@pytest.mark.parametrize(
    ("planned", "given", "fine"),
    [
        ("dns+tcp://tail.ns:7000", "tcp://10.0.0.7:7000", True),
        ("dns+tcp://tail.ns:7000", "tcp://[fd00::7]:7000", True),
        ("dns+tcp://tail.ns:7000", "tcp://10.0.0.7:7001", False),
        ("dns+tcp://tail.ns:7000", "tcp://:7000", False),
        ("dns+tcp://tail.ns:7000", "ipc:///tmp/x:7000", False),
        ("tcp://tail.ns:7000", "tcp://10.0.0.7:7000", True),
        ("tcp://tail.ns:7000", "tcp://10.0.0.7:22", False),
        ("ipc:///run/a.sock", "ipc:///run/a.sock", True),
        ("ipc:///run/a.sock", "ipc:///run/b.sock", False),
    ],
)
def test_only_addresses_of_the_plan_are_dialled(planned: str, given: str, fine: bool) -> None:
    base = plan()
    stages = tuple(s.model_copy(update={"addresses": (planned,)}) if s.name == "tail" else s for s in base.stages)
    stand = Stand(base.model_copy(update={"stages": stages}))
    stand.say(stand.gateway, submit(targets={"tail": given}))
    assert stand.router.live == int(fine)


def test_a_second_submit_changes_nothing(stand: Stand) -> None:
    stand.say(stand.gateway, submit(), submit(params={"fail": "x"}))
    assert stand.rejected == 1
    stand.say(stand.left, left())
    assert len(stand.heard(stand.gateway, Output)) == 1
    assert stand.heard(stand.gateway, Failed) == []


def test_two_gateways_with_the_same_id_do_not_meet(stand: Stand) -> None:
    other = stand.add_gateway("other")
    stand.settle()
    stand.say(stand.gateway, submit())
    stand.say(other, submit(), Cancel("r1"))
    assert len(stand.heard(other, Failed)) == 1
    stand.say(stand.left, left())
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_input_from_the_wrong_stage_or_for_the_wrong_input_is_nonsense(stand: Stand) -> None:
    stand.say(stand.gateway, submit(sources=["left", "ticks"]))
    stand.say(stand.right, left(), Payload("r1", "right", "right", 1), Payload("r1", "right", "left", 1))
    stand.say(stand.left, Payload("r1", "left", "ticks", 1), Chunk("r1", "left", "left", 0, 1))
    stand.say(stand.left, Chunk("r1", "ticks", "ticks", 0, 1))
    assert stand.rejected == 6
    assert stand.router.live == 1
    assert stand.heard(stand.gateway, Fed) == []


def test_a_stream_from_two_replicas_is_taken_from_the_first(stand: Stand) -> None:
    second = stand.add_upstream("ticks", "ticks-1")
    stand.settle()
    stand.say(stand.gateway, submit(sources=["ticks"], params={"copy": "text"}))
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "a"))
    stand.say(second, Chunk("r1", "ticks", "ticks", 1, "b"))
    assert [o.value for o in stand.heard(stand.gateway, Output)] == ["a"]
    assert stand.rejected == 1


def test_draining_refuses_new_work_and_finishes_the_old(stand: Stand) -> None:
    stand.say(stand.gateway, submit())
    stand.loop.stop(Stop.DRAIN)
    stand.settle()
    stand.say(stand.gateway, submit("r2"))
    message = the_failure(stand)
    assert (message.rid, message.kind, message.retryable) == ("r2", ErrorKind.UNAVAILABLE, True)
    stand.left.send(stand.to_mid(stand.left), left())
    stand.left.flush()
    assert not stand.loop.turn(), "what it said last is still on its way"
    assert stand.router.live == 0
    stand.now += 0.3
    assert stand.loop.turn()


def test_the_grace_period_ends(stand: Stand) -> None:
    stand.say(stand.gateway, submit())
    stand.loop.stop(Stop.DRAIN)
    assert not stand.loop.turn()
    stand.now += 30.1
    assert stand.loop.turn()
    stand.router.abandon(stand.now)
    stand.settle()
    assert the_failure(stand).retryable


def test_a_gateway_that_comes_back_starts_afresh(stand: Stand) -> None:
    stand.say(stand.gateway, submit())
    stand.network.kill(stand.gateway)
    stand.settle()
    stand.gateway = stand.add_gateway("gateway-2")
    stand.settle()
    stand.say(stand.gateway, submit("r9"))
    stand.say(stand.left, left("r9"))
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_a_bug_in_one_request_leaves_the_others_alone(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.say(stand.gateway, submit("r1", sources=["ticks"], params={"copy": "text"}), submit("r2"))
    del stand.router._live._requests["r1"].inflows["ticks"].sizes  # what a bug of ours would leave behind
    stand.say(stand.ticks, Chunk("r1", "ticks", "ticks", 0, "x"))
    assert the_failure(stand).rid == "r1"
    stand.say(stand.left, left("r2"))
    assert len(stand.heard(stand.gateway, Output)) == 1


def test_everything_a_stage_may_be_told_by_a_wrong_peer_is_survived(stand: Stand) -> None:
    gateway_peer = stand.to_mid(stand.gateway)
    assert gateway_peer.address == MID
    for message in (Fed("r1", "mid"), Output("r1", "text", 0, 1), Failed("r1", "tail", "internal", "x")):
        stand.say(stand.tail, message)
    assert stand.rejected == 3
    stand.router.handle([PeerUp(gateway_peer)], stand.now)
