"""Judging peers and bounding what waits for them, with a clock and a link of the test's own."""

import pytest

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.codec import PacketDecoder
from omnipipe.wire.connection import OUTBOX_MESSAGES, UNREAD_BYTES, WINDOW_BYTES, Connection
from omnipipe.wire.counters import Counters
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.handshake import FROM_GATEWAY
from omnipipe.wire.hub import Hub
from omnipipe.wire.messages import Ack, Beat, Fed, Message, Output
from omnipipe.wire.port import Identity, Peer, PeerDown, PeerUp, Role
from omnipipe.wire.tensors import Buffer


class Link:
    """A socket that takes everything, and remembers it."""

    def __init__(self) -> None:
        self.packets: list[list[bytes]] = []
        self.parted: list[str] = []
        self.takes = True

    def transmit(self, connection: Connection, frames: list[Buffer]) -> bool:
        if self.takes:
            self.packets.append([bytes(frame) for frame in frames])
        return self.takes

    def part(self, connection: Connection) -> None:
        self.parted.append(connection.peer.name)

    def avoid_memory(self, connection: Connection) -> None:
        raise AssertionError("no shared memory here")

    @property
    def messages(self) -> list[Message]:
        decoder = PacketDecoder()
        return [message for packet in self.packets for message in decoder.decode(packet[0], packet[1:])[0]]

    @property
    def nbytes(self) -> int:
        return sum(len(frame) for packet in self.packets for frame in packet)


class Stand:
    def __init__(self) -> None:
        self.hub = Hub(
            Identity("p", "r", Role.STAGE, "a-0", "a"), TransportPlan(), None, Counters(), lambda: 0.0, lambda: None
        )
        self.hub.now = 0.0
        self.link = Link()

    def connect(self, name: str = "gw", address: str = "") -> Connection:
        peer = Peer(name, Role.GATEWAY, "", address)
        connection = Connection(peer, self.link, b"route", FROM_GATEWAY, 0, self.hub.now)
        self.hub.open(connection)
        return connection

    def downs(self) -> list[tuple[str, str]]:
        return [(event.peer.name, event.reason) for event in self.hub.events if isinstance(event, PeerDown)]


def test_a_silent_peer_is_dead_after_its_time_and_not_before() -> None:
    stand = Stand()
    silent, heard = stand.connect("silent"), stand.connect("heard")
    stand.hub.now += 0.9
    heard.last_heard = stand.hub.now
    stand.hub.judge()
    assert stand.downs() == []
    stand.hub.now += 0.01
    stand.hub.judge()
    assert stand.downs() == [("silent", "no sign of life for 0.9 s")]
    assert stand.link.parted == ["silent"]
    with pytest.raises(PeerLost):
        stand.hub.send(silent.peer, Ack("r", "in", 0))
    stand.hub.send(heard.peer, Ack("r", "in", 0))


def test_time_in_which_we_did_not_look_is_not_held_against_peers() -> None:
    stand = Stand()
    stand.connect()
    stand.hub.now += 10.0
    stand.hub.excuse(10.0)
    stand.hub.judge()
    assert stand.downs() == []
    stand.hub.now += 0.91
    stand.hub.judge()
    assert len(stand.downs()) == 1


def test_the_window_moves_with_what_the_peer_has_read_and_heartbeats_pass_it() -> None:
    stand = Stand()
    connection = stand.connect()
    megabyte = bytes(1 << 20)
    for n in range(80):
        stand.hub.send(connection.peer, Output("r", "audio", n, megabyte))
        stand.hub.flush()
    assert WINDOW_BYTES <= stand.link.nbytes < WINDOW_BYTES + (2 << 20)
    stand.hub.beat(connection)
    assert isinstance(stand.link.messages[-1], Beat)
    connection.acknowledge(connection.sent)
    connection.flush()
    seqs = [message.seq for message in stand.link.messages if isinstance(message, Output)]
    assert seqs == list(range(80))


def test_a_peer_cannot_acknowledge_what_was_not_sent() -> None:
    stand = Stand()
    connection = stand.connect()
    connection.acknowledge(2**60)
    assert connection.acknowledged == connection.sent == 0


def test_a_stalled_peer_is_given_up_at_a_bound_of_bytes() -> None:
    stand = Stand()
    connection = stand.connect()
    stand.link.takes = False
    megabyte = bytes(1 << 20)
    sent = 0
    with pytest.raises(PeerLost, match="stalled"):
        while sent < 1000:
            stand.hub.send(connection.peer, Output("r", "audio", sent, megabyte))
            stand.hub.flush()
            sent += 1
    assert UNREAD_BYTES >> 20 <= sent <= (UNREAD_BYTES >> 20) + 2
    assert stand.downs() == [("gw", "stalled")]
    assert connection.outbox == stand.connect().outbox


def test_a_stalled_peer_is_given_up_at_a_bound_of_messages() -> None:
    stand = Stand()
    connection = stand.connect()
    stand.link.takes = False
    for n in range(OUTBOX_MESSAGES):
        stand.hub.send(connection.peer, Ack("r", "in", n))
    with pytest.raises(PeerLost, match="stalled"):
        stand.hub.send(connection.peer, Ack("r", "in", 0))


def test_data_leaves_before_reports_on_it() -> None:
    stand = Stand()
    fed, ack, data, both = (stand.connect(name) for name in ("fed", "ack", "data", "both"))
    stand.hub.send(fed.peer, Fed("fed", "a"))
    stand.hub.send(both.peer, Fed("both", "a"))
    stand.hub.send(ack.peer, Ack("ack", "in", 0))
    stand.hub.send(data.peer, Output("data", "text", 0, "x"))
    stand.hub.send(both.peer, Output("both", "text", 0, "x"))
    stand.hub.flush()
    assert [getattr(m, "rid", "") for m in stand.link.messages] == ["data", "both", "both", "fed", "ack"]
    assert len(stand.link.packets) == 4
    assert not stand.hub.outgoing


def test_all_messages_of_a_cycle_travel_in_one_packet() -> None:
    stand = Stand()
    first, second = stand.connect("one"), stand.connect("two")
    for n in range(100):
        stand.hub.send((first, second)[n % 2].peer, Ack("r", "in", n))
    stand.hub.flush()
    assert len(stand.link.packets) == 2
    assert stand.hub.counters.sent_messages == 100
    assert [type(event) for event in stand.hub.events] == [PeerUp, PeerUp]
