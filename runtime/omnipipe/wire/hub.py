"""What all connections of a wire share: identity, codec, events, counters, heartbeats and the judgement over peers.

Knows connections, not sockets: `listener` and `dialler` bring them here and take them away.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.codec import Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.connection import REPORT_BYTES, UNREAD_BYTES, Connection, cost
from omnipipe.wire.counters import Counters
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.messages import Beat, Message, Refuse
from omnipipe.wire.outgoing import Outgoing
from omnipipe.wire.port import Event, Identity, Peer, PeerDown, PeerUp, Received
from omnipipe.wire.rejections import Rejections
from omnipipe.wire.shm.exchange import Exchange
from omnipipe.wire.shm.segment import SegmentError
from omnipipe.wire.tensors import Buffer

__all__ = ["Hub"]

log = logging.getLogger(__name__)

_NO_LOAD: Final = Beat()
_TIDY_EVERY_S: Final = 1.0
_TIDY_AFTER_S: Final = 0.05
"""After a connection ended: by then a process that was killed is gone for good."""


class Hub:
    def __init__(
        self,
        identity: Identity,
        transport: TransportPlan,
        memory: Exchange | None,
        counters: Counters,
        clock: Callable[[], float],
        on_event: Callable[[], None],
    ) -> None:
        """`on_event` is called when something happened outside of a poll, so that the next one returns at once."""
        self.identity: Final = identity
        self.transport: Final = transport
        self.memory: Final = memory
        self.counters: Final = counters
        self.clock: Final = clock
        self.rejections: Final = Rejections(counters, clock)
        self.encoder: Final = PacketEncoder(
            max_message_bytes=transport.max_message_bytes,
            inline_limit_bytes=transport.inline_limit_bytes,
            share=None if memory is None else memory.share,
        )
        self.decoder: Final = PacketDecoder(None if memory is None else memory.borrow)
        self.events: list[Event] = []
        self.connections: Final[dict[Peer, Connection]] = {}
        self.load = _NO_LOAD
        self.now = clock()
        self.tidy_at = self.now + _TIDY_EVERY_S
        """When to look for memory that came back without a word."""
        self.outgoing: Final = Outgoing()
        self._on_event = on_event

    def open(self, connection: Connection) -> None:
        """Hello and Welcome are exchanged."""
        self.connections[connection.peer] = connection
        self.counters.peers_up += 1
        self.report(PeerUp(connection.peer))

    def report(self, event: Event) -> None:
        self.events.append(event)
        self._on_event()

    def lose(self, connection: Connection, reason: str, *, refused: bool = False) -> None:
        """The connection is over; the link is told by whoever noticed."""
        if self.connections.pop(connection.peer, None) is None:
            return
        self.counters.peers_lost += 1
        log.info("lost %s: %s", connection.peer.name, reason)
        self.forget(connection)
        self.report(PeerDown(connection.peer, reason, refused))

    def forget(self, connection: Connection) -> None:
        """Without an event: our own side hung up."""
        self.connections.pop(connection.peer, None)
        lent = connection.drop()
        if connection.borrower and self.memory is not None:
            self.memory.withdraw_later(self.now, lent)
            self.tidy_at = min(self.tidy_at, self.now + _TIDY_AFTER_S)

    def give_up(self, connection: Connection, reason: str) -> None:
        """Our side ends it, or agrees to: the peer is silent, stalled, or has given us up."""
        self.lose(connection, reason)
        connection.link.part(connection)

    def send(self, peer: Peer, message: Message) -> None:
        connection = self.connections.get(peer)
        if connection is None:
            raise PeerLost(f"{peer.name or peer.address} is not connected")
        if connection.is_full:
            self.give_up(connection, "stalled")
            raise PeerLost(f"{peer.name} is stalled: more than {UNREAD_BYTES >> 20} MiB or too many messages wait")
        full = connection.add(self.encoder, message)
        self.outgoing.add(connection, type(message))
        if full:
            self._flush(connection)
            self._on_event()  # the send may have swallowed a wake-up

    def resume(self, connection: Connection) -> None:
        """Its link takes packets again."""
        if connection.outbox:
            self.outgoing.add(connection, Beat)

    def flush(self) -> None:
        for connection in self.outgoing.take():
            if connection.peer in self.connections:
                self._flush(connection)
        if self.memory is not None:
            self.memory.flushed()

    def _flush(self, connection: Connection) -> None:
        try:
            packets, messages, nbytes = connection.flush()
        except PeerLost as error:
            self.give_up(connection, str(error))
            return
        counters = self.counters
        counters.sent_packets += packets
        counters.sent_messages += messages
        counters.sent_bytes += nbytes

    def arrived(self, connection: Connection, header: Buffer, frames: Sequence[Buffer], more_bytes: int) -> None:
        """A packet on an open connection; `more_bytes` are those of the buffer frames."""
        counters = self.counters
        nbytes = len(header) + more_bytes
        counters.received_packets += 1
        counters.received_bytes += nbytes
        peer, sayable, events = connection.peer, connection.sayable, self.events
        connection.last_heard = self.now
        connection.received += cost(1 + len(frames), nbytes)
        try:
            messages, bad = self.decoder.decode(header, frames, may_borrow=connection.borrower != 0)
        except SegmentError as error:
            self.rejections.add(peer.name, error)
            connection.link.avoid_memory(connection)
            self.give_up(connection, f"its shared memory cannot be mapped: {error}")
            return
        for message in messages:
            kind = type(message)
            if kind is Beat:
                self._beaten(connection, message)
            elif kind in sayable:
                events.append(Received(peer, message))
            elif isinstance(message, Refuse) and connection.dialled:
                self.give_up(connection, message.reason)
                return
            else:
                self.rejections.add(peer.name, f"{kind.__name__} from a peer that may not say it")
                continue
            counters.received_messages += 1
        for reason in bad:
            self.rejections.add(peer.name, reason)
        if connection.received - connection.reported >= REPORT_BYTES:
            self.beat(connection)

    def _beaten(self, connection: Connection, beat: Message) -> None:
        assert isinstance(beat, Beat)
        connection.acknowledge(beat.received)
        self.resume(connection)  # its window may have opened
        if connection.dialled:
            self.events.append(Received(connection.peer, beat))

    def beat(self, connection: Connection) -> None:
        load = _NO_LOAD if connection.dialled else self.load
        packet = Packet()
        self.encoder.add(packet, msgspec.structs.replace(load, received=connection.received))
        try:
            if connection.send_now(packet.seal(), packet.nbytes):
                connection.reported = connection.received
                self.counters.sent_packets += 1
                self.counters.sent_messages += 1
                self.counters.sent_bytes += packet.nbytes
        except PeerLost as error:
            self.give_up(connection, str(error))

    def beat_all(self) -> None:
        for connection in list(self.connections.values()):
            self.beat(connection)

    def tidy(self) -> None:
        if self.now >= self.tidy_at:
            self.tidy_at = self.now + _TIDY_EVERY_S
            if self.memory is not None:
                self.memory.tidy(self.now)

    def judge(self) -> None:
        """Gives up the peers that have shown no sign of life for too long."""
        limit = self.transport.dead_after_s
        for connection in list(self.connections.values()):
            if self.now - connection.last_heard > limit:
                self.give_up(connection, f"no sign of life for {limit:g} s")

    def excuse(self, lost_s: float) -> None:
        """We did not look for this long, which says nothing about our peers."""
        for connection in self.connections.values():
            connection.last_heard = min(self.now, connection.last_heard + lost_s)
