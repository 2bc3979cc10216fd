"""What `port.Wire` promises, kept by the fake and by the real one over ipc, shared memory, TCP and CURVE."""

import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.integration.wire.worlds import KINDS, World, gateway_identity, stage_identity

from omnipipe.wire.errors import PeerLost, TooBig
from omnipipe.wire.messages import Ack, Beat, Cancel, Chunk, Failed, Message, Output, Payload, Submit
from omnipipe.wire.port import PeerUp, Received, Role
from omnipipe.wire.value import Tensor


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


def test_a_connection_shows_on_both_sides(world: World) -> None:
    stage, gateway, to_stage, to_gateway = world.pair()
    assert (to_stage.name, to_stage.role, to_stage.stage) == ("a-0", Role.STAGE, "a")
    assert to_stage.address == stage.listening
    assert (to_gateway.name, to_gateway.role, to_gateway.stage, to_gateway.address) == ("gw", Role.GATEWAY, "", "")
    gateway.dial(stage.listening, "a")
    for _ in range(20):
        world.poll_all()
    assert len(world.ups(gateway)) == len(world.ups(stage)) == 1


def test_messages_arrive_whole_and_in_order(world: World) -> None:
    stage, gateway, to_stage, to_gateway = world.pair()
    array = np.arange(300_000, dtype="f4").reshape(3, -1)
    there: list[Message] = [Submit("r", "q", 1.5, {}, {"b": "x"}, ["text"], {"n": 1}, {"text": "hi"})]
    there += [Ack("r", "text", n) for n in range(500)]
    for message in there:
        gateway.send(to_stage, message)
    stage.send(to_gateway, Output("r", "audio", 0, {"pcm": Tensor.from_numpy(array), "raw": b"x" * 200_000}))
    stage.send(to_gateway, Failed("r", "a", "internal", "it broke"))
    world.until(lambda: len(world.messages(stage)) == 501 and len(world.messages(gateway)) == 2)
    assert world.messages(stage) == there
    output, failed = world.messages(gateway)
    assert isinstance(output, Output)
    assert np.array_equal(output.value["pcm"].numpy(), array)
    assert output.value["raw"] == b"x" * 200_000
    assert failed == Failed("r", "a", "internal", "it broke")


def test_an_upstream_stage_says_which_stage_it_is(world: World) -> None:
    target = world.wire(stage_identity("b"), listens=True)
    source = world.wire(stage_identity("a"))
    source.dial(target.listening, "b")
    world.until(lambda: bool(world.ups(source) and world.ups(target)))
    (peer,) = world.ups(target)
    assert (peer.name, peer.role, peer.stage) == ("a-0", Role.STAGE, "a")
    source.send(world.ups(source)[0], Payload("r", "a", "in", 1))
    target.send(peer, Ack("r", "in", 0))
    world.until(lambda: bool(world.messages(source) and world.messages(target)))


def test_what_a_side_may_not_say_is_rejected_and_counted(world: World) -> None:
    stage, gateway, to_stage, to_gateway = world.pair()
    wrong_from_gateway: list[Message] = [
        Output("r", "text", 0, "x"),
        Payload("r", "a", "in", 1),
        Chunk("r", "a", "in", 0, "x"),
    ]
    wrong_from_stage: list[Message] = [Submit("r", "q", 1.0, {}, {}, []), Cancel("r"), Payload("r", "a", "in", 1)]
    for message in (*wrong_from_gateway, Cancel("last")):
        gateway.send(to_stage, message)
    for message in (*wrong_from_stage, Ack("r", "last", 0)):
        stage.send(to_gateway, message)
    world.until(lambda: bool(world.messages(stage) and world.messages(gateway)))
    assert world.messages(stage) == [Cancel("last")]
    assert world.messages(gateway) == [Ack("r", "last", 0)]
    assert stage.counters.rejected == len(wrong_from_gateway)
    assert gateway.counters.rejected == len(wrong_from_stage)


def test_load_reports_go_to_who_dialled(world: World) -> None:
    stage, gateway, _, _ = world.pair()
    world.until(lambda: bool(world.beats(gateway)))
    stage.set_load(progress=7, step_s=0.5, queued=3, running=2, accepting=False)

    def reported() -> bool:
        last = world.beats(gateway)[-1]
        return (last.progress, last.step_s, last.queued, last.running, last.accepting) == (7, 0.5, 3, 2, False)

    world.until(reported)
    assert world.beats(stage) == []


def test_a_mismatch_is_refused_with_words_and_only_said_once(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    gateway = world.wire(gateway_identity(revision="r2"))
    gateway.dial(stage.listening, "a")
    world.until(lambda: bool(world.downs(gateway)))
    (down,) = world.downs(gateway)
    assert down.refused
    assert "this is revision 'r1' of pipeline 'p', gw is of revision 'r2'" in down.reason
    assert (down.peer.name, down.peer.address) == ("", stage.listening)
    assert (stage.counters.refused, world.ups(stage)) == (1, [])


def test_hanging_up_flushes_and_is_no_event_on_our_side(world: World) -> None:
    stage, gateway, to_stage, _ = world.pair()
    gateway.send(to_stage, Cancel("last words"))
    gateway.hang_up(stage.listening)
    world.until(lambda: bool(world.downs(stage)))
    assert world.messages(stage) == [Cancel("last words")]
    assert world.downs(gateway) == []
    with pytest.raises(PeerLost):
        gateway.send(to_stage, Cancel("r"))
    gateway.dial(stage.listening, "a")
    world.until(lambda: len(world.ups(gateway)) == 2)


def test_closing_flushes_and_is_seen(world: World) -> None:
    stage, gateway, to_stage, to_gateway = world.pair()
    stage.send(to_gateway, Failed("r", "a", "unavailable", "draining"))
    world.drop(stage)
    world.until(lambda: bool(world.downs(gateway)))
    assert world.messages(gateway) == [Failed("r", "a", "unavailable", "draining")]
    assert world.downs(gateway)[0].peer is to_stage
    assert stage.poll(0) == []


def test_a_listener_that_comes_back_is_dialled_again(world: World) -> None:
    stage, gateway, _, _ = world.pair()
    address = stage.listening
    world.drop(stage)
    world.until(lambda: bool(world.downs(gateway)))
    again = world.wire(stage_identity(peer="a-1"), listens=True, address=address)
    world.until(lambda: len(world.ups(gateway)) == 2)
    assert world.ups(gateway)[1].name == "a-1"
    gateway.send(world.ups(gateway)[1], Cancel("r"))
    world.until(lambda: world.messages(again) == [Cancel("r")])


def test_an_address_where_nobody_listens_is_reported_once(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    address = stage.listening
    world.drop(stage)
    gateway = world.wire(gateway_identity())
    gateway.dial(address, "a")
    world.until(lambda: bool(world.downs(gateway)))
    for _ in range(200):
        world.poll_all()
    (down,) = world.downs(gateway)
    assert (down.peer.name, down.peer.address, down.refused) == ("", address, False)
    assert down.reason == f"nobody listens at {address}"


def test_what_cannot_travel_raises_at_send_and_hurts_nobody(world: World) -> None:
    stage, gateway, _, to_gateway = world.pair()
    with pytest.raises(TypeError, match=r"value\['a'\]"):
        stage.send(to_gateway, Output("r", "text", 0, {"a": object()}))
    with pytest.raises(TooBig):
        stage.send(to_gateway, Output("r", "text", 0, [0.5] * 1_000_000))
    stage.send(to_gateway, Output("r", "text", 0, "fine"))
    world.until(lambda: world.messages(gateway) == [Output("r", "text", 0, "fine")])


def test_the_descriptor_is_readable_when_there_is_something_to_read(world: World) -> None:
    stage, gateway, to_stage, to_gateway = world.pair()
    for n in range(200):
        stage.send(to_gateway, Output("r", "text", n, "x"))
        stage.poll(0)
        deadline = time.monotonic() + 60
        while len(world.messages(gateway)) <= n:
            assert select.select([gateway.fileno()], [], [], 60)[0], f"message {n} did not wake anybody"
            assert time.monotonic() < deadline
            world.seen[id(gateway)] += gateway.poll(0)
            # a send in between may swallow the next wake-up
            gateway.send(to_stage, Ack("r", "text", n))
            gateway.flush()
            stage.poll(0)


def test_wake_from_a_thread_ends_a_poll(world: World) -> None:
    _, gateway, _, _ = world.pair()
    thread = threading.Timer(0.05, gateway.wake)
    thread.start()
    started = time.monotonic()
    while time.monotonic() - started < 120 and thread.is_alive():
        gateway.poll(120)
    thread.join()
    assert time.monotonic() - started < 120
    gateway.close()
    gateway.wake()


def test_two_gateways_and_an_upstream_stage_share_a_listener(world: World) -> None:
    stage = world.wire(stage_identity(), listens=True)
    dialling = [world.wire(i) for i in (gateway_identity("gw1"), gateway_identity("gw2"), stage_identity("up"))]
    for wire in dialling:
        wire.dial(stage.listening, "a")
    world.until(lambda: len(world.ups(stage)) == 3 and all(world.ups(wire) for wire in dialling))
    for peer in world.ups(stage):
        stage.send(peer, Ack(peer.name, "in", 0))
    world.until(lambda: all(world.messages(wire) for wire in dialling))
    for wire in dialling:
        assert world.messages(wire) == [Ack(wire.identity.peer, "in", 0)]
    world.drop(dialling[0])
    world.until(lambda: bool(world.downs(stage)))
    assert [down.peer.name for down in world.downs(stage)] == ["gw1"]


def test_events_come_in_the_order_in_which_they_happened(world: World) -> None:
    stage, gateway, _, to_gateway = world.pair()
    for n in range(5):
        stage.send(to_gateway, Output("r", "text", n, "x"))
    world.drop(stage)
    world.until(lambda: bool(world.downs(gateway)))
    kinds = [
        type(event).__name__
        for event in world.seen[id(gateway)]
        if not (isinstance(event, Received) and isinstance(event.message, Beat))
    ]
    assert kinds[: kinds.index("PeerDown") + 1] == [PeerUp.__name__, *["Received"] * 5, "PeerDown"]
