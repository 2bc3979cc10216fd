"""What a test can do to the fake network, and what its wires then show."""

import select

import pytest

from omnipipe.wire.errors import PeerLost
from omnipipe.wire.fake import FakeNetwork, FakeWire
from omnipipe.wire.messages import Ack, Cancel, Message, Output
from omnipipe.wire.port import Identity, Peer, PeerDown, PeerUp, Received, Role


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def connected(network: FakeNetwork, clock: Clock | None = None) -> tuple[FakeWire, FakeWire, Peer, Peer]:
    """A stage and a gateway, what the gateway calls the stage, and what the stage calls the gateway."""
    clock = clock or Clock()
    stage = network.wire(Identity("p", "r", Role.STAGE, "a-0", "a"), "fake://a", clock)
    gateway = network.wire(Identity("p", "r", Role.GATEWAY, "gw"), None, clock)
    gateway.dial("fake://a", "a")
    (up, _) = gateway.poll(0)
    (accepted,) = stage.poll(0)
    assert isinstance(up, PeerUp)
    assert isinstance(accepted, PeerUp)
    return stage, gateway, up.peer, accepted.peer


def messages(wire: FakeWire) -> list[Message]:
    return [event.message for event in wire.poll(0) if isinstance(event, Received)]


def downs(wire: FakeWire) -> list[str]:
    return [event.reason for event in wire.poll(0) if isinstance(event, PeerDown)]


def test_what_is_held_back_comes_later_and_in_order() -> None:
    network = FakeNetwork()
    stage, gateway, to_stage, to_gateway = connected(network)
    network.hold(gateway, stage)
    for n in range(3):
        gateway.send(to_stage, Ack("r", "text", n))
        gateway.flush()
    stage.send(to_gateway, Output("r", "text", 0, "the other way is open"))
    stage.flush()
    assert messages(stage) == []
    assert len(messages(gateway)) == 1
    network.release(gateway, stage)
    assert messages(stage) == [Ack("r", "text", n) for n in range(3)]


def test_a_killed_wire_is_noticed_at_once_and_its_queue_is_lost() -> None:
    network = FakeNetwork()
    stage, gateway, to_stage, to_gateway = connected(network)
    stage.send(to_gateway, Output("r", "text", 0, "never sent"))
    network.kill(stage)
    assert stage.poll(0) == []
    assert downs(gateway) == ["connection lost", "nobody listens at fake://a"]
    with pytest.raises(PeerLost):
        gateway.send(to_stage, Cancel("r"))


def test_a_partition_is_a_death_after_a_while_and_heals_before_it() -> None:
    network, clock = FakeNetwork(), Clock()
    stage, gateway, to_stage, _ = connected(network, clock)
    network.partition(stage, gateway)
    gateway.send(to_stage, Cancel("late"))
    gateway.flush()
    clock.now += 0.8
    assert downs(gateway) == []
    network.heal(stage, gateway)
    assert messages(stage) == [Cancel("late")]
    network.partition(stage, gateway)
    clock.now += 0.9
    assert downs(gateway) == ["no sign of life for 0.9 s"]
    assert downs(stage) == ["connection lost"]
    assert gateway.peers() == []
    network.heal(stage, gateway)
    assert [type(event) for event in gateway.poll(0)] == [PeerUp, Received]


def test_too_much_for_one_peer_is_a_stall() -> None:
    network = FakeNetwork(outbox_messages=10)
    stage, gateway, to_stage, _ = connected(network)
    network.hold(gateway, stage)
    with pytest.raises(PeerLost, match="stalled"):
        for n in range(11):
            gateway.send(to_stage, Ack("r", "text", n))
            gateway.flush()
    assert downs(gateway) == ["stalled"]


def test_what_one_may_not_say_is_rejected_and_counted() -> None:
    network = FakeNetwork()
    stage, gateway, to_stage, _ = connected(network)
    gateway.send(to_stage, Output("r", "text", 0, "a gateway has no outputs"))
    gateway.flush()
    assert messages(stage) == []
    assert stage.counters.rejected == 1


def test_a_listener_that_comes_later_wakes_who_dials_it() -> None:
    network = FakeNetwork()
    gateway = network.wire(Identity("p", "r", Role.GATEWAY, "gw"))
    gateway.dial("fake://a", "a")
    assert downs(gateway) == ["nobody listens at fake://a"]
    assert downs(gateway) == [], "said once"
    fd = gateway.fileno()
    gateway.poll(0)
    assert not select.select([fd], [], [], 0)[0]
    network.wire(Identity("p", "r", Role.STAGE, "a-0", "a"), "fake://a")
    assert select.select([fd], [], [], 0)[0]
    assert isinstance(gateway.poll(0)[0], PeerUp)
    gateway.close()
