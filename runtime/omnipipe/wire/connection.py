"""One side of one connection: what waits to be sent, how much may be on the way, when we last heard of the peer.

Bounds, without which a peer that stops reading would fill our memory:
- at most WINDOW_BYTES are sent and not yet read by the peer, which says in its Beats how much it has read;
- at most UNREAD_BYTES, those included, and OUTBOX_MESSAGES wait for it. Beyond it the peer counts as stalled and is
  given up.
"""

from collections import deque
from typing import Final, Protocol

from omnipipe.wire.codec import Packet, PacketEncoder
from omnipipe.wire.messages import Message
from omnipipe.wire.port import Peer
from omnipipe.wire.shm.loan import Offer
from omnipipe.wire.tensors import Buffer

__all__ = ["CLEAN", "OUTBOX_MESSAGES", "REPORT_BYTES", "UNREAD_BYTES", "WINDOW_BYTES", "Connection", "Link", "cost"]

WINDOW_BYTES: Final = 64 << 20
UNREAD_BYTES: Final = 128 << 20
OUTBOX_MESSAGES: Final = 1 << 16
REPORT_BYTES: Final = 8 << 20
"""Read since the last Beat: enough for the next Beat to go at once, so that the window does not wait for its time."""
CLEAN: Final = 2
"""The rank (see `outgoing`) of a connection with nothing to flush."""
_FRAME_COST: Final = 64


def cost(frames: int, nbytes: int) -> int:
    """What a packet takes of the window: its bytes, and something for each frame, so that empty ones are not free."""
    return nbytes + _FRAME_COST * frames


class Link(Protocol):
    """The socket that a connection goes through."""

    def transmit(self, connection: "Connection", frames: list[Buffer]) -> bool:
        """Hands one packet to the socket. False: not now. Raises PeerLost."""

    def part(self, connection: "Connection") -> None:
        """Our side gives the connection up: the peer is told, or hung up on."""

    def avoid_memory(self, connection: "Connection") -> None:
        """The next connection with this peer is to be without shared memory."""


class Connection:
    """`link` moves the bytes; the `hub` decides."""

    __slots__ = (
        "_open",
        "acknowledged",
        "borrower",
        "dialled",
        "last_heard",
        "link",
        "offers",
        "outbox",
        "peer",
        "rank",
        "received",
        "reported",
        "route",
        "sayable",
        "sent",
        "waiting_bytes",
        "waiting_messages",
    )

    def __init__(
        self, peer: Peer, link: Link, route: bytes, sayable: frozenset[type], borrower: int, now: float
    ) -> None:
        self.peer = peer
        self.link = link
        self.route = route
        """How the listener's socket calls it; empty for a dialled one."""
        self.sayable = sayable
        """What the other side may send us."""
        self.borrower = borrower
        """The peer's pid when large tensors go through shared memory, both ways; 0: inline."""
        self.dialled = peer.address != ""
        self.last_heard = now
        self.outbox: deque[Packet] = deque()
        self.waiting_bytes = 0
        self.waiting_messages = 0
        self.sent = 0
        self.acknowledged = 0
        self.received = 0
        self.reported = 0
        self.offers: deque[Offer] = deque()
        """Loans of shared memory that were sent and perhaps not taken yet."""
        self.rank = CLEAN
        self._open: Packet | None = None

    @property
    def is_full(self) -> bool:
        unread = self.sent - self.acknowledged
        return self.waiting_bytes + unread > UNREAD_BYTES or self.waiting_messages >= OUTBOX_MESSAGES

    def add(self, encoder: PacketEncoder, message: Message) -> bool:
        """Whether it is time to flush: a packet is full. Raises TypeError or TooBig."""
        packet = self._open
        if packet is None:
            packet = Packet()
            encoder.add(packet, message, self.borrower)
            self.outbox.append(packet)
            self._open = packet
            self.waiting_bytes += packet.nbytes
        else:
            before = packet.nbytes
            encoder.add(packet, message, self.borrower)
            self.waiting_bytes += packet.nbytes - before
        self.waiting_messages += 1
        if packet.full:
            self._open = None
            return True
        return False

    def flush(self) -> tuple[int, int, int]:
        """Hands over what the window allows; (packets, messages, bytes) that went. Raises PeerLost."""
        packets = messages = nbytes = 0
        outbox = self.outbox
        self._open = None
        while outbox and self.sent - self.acknowledged < WINDOW_BYTES:
            packet = outbox[0]
            frames = packet.seal()
            if not self.link.transmit(self, frames):
                break
            outbox.popleft()
            self.sent += cost(len(frames), packet.nbytes)
            self.waiting_bytes -= packet.nbytes
            self.waiting_messages -= packet.count
            if packet.offers:
                self._remember(packet.offers)
            packets += 1
            messages += packet.count
            nbytes += packet.nbytes
        return packets, messages, nbytes

    def send_now(self, frames: list[Buffer], nbytes: int) -> bool:
        """A heartbeat: past the window and whatever waits."""
        if self.link.transmit(self, frames):
            self.sent += cost(len(frames), nbytes)
            return True
        return False

    def acknowledge(self, received: int) -> None:
        """The peer has read this much."""
        self.acknowledged = max(self.acknowledged, min(received, self.sent))  # the handshake is in neither, exactly

    def drop(self) -> list[Offer]:
        """Forgets what waits. Its loans end here; those of what was sent are returned, for the peer may have them."""
        for packet in self.outbox:
            for offer in packet.offers:
                offer.withdraw()
        self.outbox.clear()
        self._open = None
        return [offer for offer in self.offers if offer.is_open]

    def _remember(self, offers: list[Offer]) -> None:
        mine = self.offers
        while mine and not mine[0].is_open:
            mine.popleft()
        mine.extend(offers)
