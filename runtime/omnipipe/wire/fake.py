"""A network in memory: the same port as the sockets, deterministic, on one thread, without sleeping.

    network = FakeNetwork()
    stage = network.wire(Identity(..., Role.STAGE, ...), listen="fake://a")
    gateway = network.wire(Identity(..., Role.GATEWAY, ...))
    gateway.dial("fake://a", "a")
    gateway.poll(0)  # [PeerUp, Received(peer, Beat)]; the stage's next poll shows PeerUp

`poll` never waits, whatever its timeout. Between two wires messages keep their order; `hold` keeps back what one sends
to another, so that messages over different connections overtake each other. Messages go through the real codec. Things
go wrong only when a test says so.
"""

import os
import time
from collections import deque
from collections.abc import Callable

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.codec import Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.counters import Counters
from omnipipe.wire.errors import BadMessage, PeerLost
from omnipipe.wire.handshake import check_direction, hello, refusal
from omnipipe.wire.messages import Beat, Message
from omnipipe.wire.port import Event, Identity, Peer, PeerDown, PeerUp, Received, Role

__all__ = ["FakeNetwork", "FakeWire"]

Clock = Callable[[], float]


class FakeNetwork:
    """Wires that find each other by address, and what a test may do to them."""

    def __init__(self, transport: TransportPlan | None = None, *, outbox_messages: int = 10_000) -> None:
        transport = transport or TransportPlan()
        self.dead_after_s = transport.dead_after_s
        self.encoder = PacketEncoder(
            max_message_bytes=transport.max_message_bytes, inline_limit_bytes=transport.inline_limit_bytes
        )
        self.decoder = PacketDecoder()
        self.outbox_messages = outbox_messages
        """Messages that one connection keeps back (see `hold`, `partition`) before its peer counts as stalled."""
        self.wires: list[FakeWire] = []
        self._cut: dict[frozenset[FakeWire], float] = {}
        self._held: set[tuple[FakeWire, FakeWire]] = set()

    def wire(self, identity: Identity, listen: str | None = None, clock: Clock = time.monotonic) -> "FakeWire":
        if listen is not None and self.listener(listen) is not None:
            raise OSError(f"{listen} is in use")
        wire = FakeWire(self, identity, listen, clock)
        self.wires.append(wire)
        self._stir()
        return wire

    def listener(self, address: str) -> "FakeWire | None":
        return next((w for w in self.wires if w.listening == address and not w.closed), None)

    def kill(self, wire: "FakeWire") -> None:
        """The process is gone: its peers notice at once, what it had queued is lost, its polls return nothing."""
        wire._end("connection lost", polite=False)

    def partition(self, a: "FakeWire", b: "FakeWire") -> None:
        """Nothing passes between the two. Each calls the other dead `dead_after_s` of its own clock later, unless
        `heal` comes first: then everything arrives, late."""
        self._cut[frozenset((a, b))] = a.clock()

    def heal(self, a: "FakeWire", b: "FakeWire") -> None:
        self._cut.pop(frozenset((a, b)), None)
        self._deliver_between(a, b)
        self._stir()

    def hold(self, sender: "FakeWire", receiver: "FakeWire") -> None:
        """Keeps back what `sender` flushes to `receiver`, and nothing else, until `release`."""
        self._held.add((sender, receiver))

    def release(self, sender: "FakeWire", receiver: "FakeWire") -> None:
        self._held.discard((sender, receiver))
        self._deliver_between(sender, receiver)

    def is_cut(self, a: "FakeWire", b: "FakeWire") -> bool:
        return frozenset((a, b)) in self._cut

    def cut_since(self, a: "FakeWire", b: "FakeWire") -> float | None:
        return self._cut.get(frozenset((a, b)))

    def passes(self, sender: "FakeWire", receiver: "FakeWire") -> bool:
        return (sender, receiver) not in self._held and not self.is_cut(sender, receiver)

    def _stir(self) -> None:
        """Something that a dialler waits for may be there now."""
        for wire in self.wires:
            wire._wake_reader()

    def _deliver_between(self, a: "FakeWire", b: "FakeWire") -> None:
        for wire, other in ((a, b), (b, a)):
            for end in list(wire._ends.values()):
                if end.owner_of_other is other:
                    end.deliver()


class _End:
    """One side's half of a connection."""

    def __init__(self, network: FakeNetwork, wire: "FakeWire", peer: Peer) -> None:
        self.network = network
        self.wire = wire
        self.peer = peer
        """What this side calls the other."""
        self.other: _End
        self.queued = Packet()
        self.on_the_way: deque[Packet] = deque()

    @property
    def owner_of_other(self) -> "FakeWire":
        return self.other.wire

    @property
    def dialled(self) -> bool:
        return self.peer.address != ""

    def flush(self) -> None:
        packet = self.queued
        if packet.count:
            self.wire.counters.sent_packets += 1
            self.wire.counters.sent_messages += packet.count
            self.wire.counters.sent_bytes += packet.nbytes
            self.on_the_way.append(packet)
            self.queued = Packet()
        self.deliver()

    @property
    def waiting(self) -> int:
        """Messages that the other side does not have yet."""
        return self.queued.count + sum(packet.count for packet in self.on_the_way)

    def deliver(self) -> None:
        while self.on_the_way and self.network.passes(self.wire, self.other.wire):
            self.other.arrive(self.on_the_way.popleft())

    def arrive(self, packet: Packet) -> None:
        counters = self.wire.counters
        counters.received_packets += 1
        counters.received_bytes += packet.nbytes
        header, *frames = packet.seal()
        messages, bad = self.network.decoder.decode(header, frames)
        counters.rejected += len(bad)
        for message in messages:
            try:
                check_direction(message, dialler=None if self.dialled else self.peer.role)
            except BadMessage:
                counters.rejected += 1
                continue
            counters.received_messages += 1
            if isinstance(message, Beat) and not self.dialled:
                continue
            self.wire._put(Received(self.peer, message))


class FakeWire:
    """`port.Wire` in memory. Made by `FakeNetwork.wire`."""

    def __init__(self, network: FakeNetwork, identity: Identity, listen: str | None, clock: Clock) -> None:
        self.identity = identity
        self.listening = listen or ""
        self.clock = clock
        self.closed = False
        self.counters = Counters()
        self._network = network
        self._dialled: dict[str, str] = {}
        self._troubles: dict[str, str] = {}
        """Address -> what was last said about its not coming up, so that it is said once."""
        self._ends: dict[Peer, _End] = {}
        self._inbox: deque[Event] = deque()
        self._load = Beat()
        self._signal: tuple[int, int] | None = None

    def dial(self, address: str, stage: str) -> None:
        self._dialled.setdefault(address, stage)
        self._wake_reader()

    def hang_up(self, address: str) -> None:
        self._dialled.pop(address, None)
        self._troubles.pop(address, None)
        for end in [e for e in self._ends.values() if e.peer.address == address]:
            end.flush()
            self._ends.pop(end.peer)
            end.other.wire._lose(end.other.peer, "connection closed")

    def send(self, peer: Peer, message: Message) -> None:
        end = self._ends.get(peer)
        if end is None:
            raise PeerLost(f"{peer.name or peer.address} is not connected")
        if end.waiting >= self._network.outbox_messages:
            self._break(end, "stalled")
            raise PeerLost(f"{peer.name} is stalled: {self._network.outbox_messages} messages wait for it")
        self._network.encoder.add(end.queued, message)

    def flush(self) -> None:
        for end in list(self._ends.values()):
            end.flush()

    def poll(self, timeout_s: float) -> list[Event]:
        """Never waits; `timeout_s` is for the real one."""
        if self.closed:
            return []
        self.flush()
        self._notice_cuts()
        self._connect()
        self._drain_signal()
        events = list(self._inbox)
        self._inbox.clear()
        return events

    def wake(self) -> None:
        self._wake_reader()

    def set_load(self, *, progress: int, step_s: float, queued: int, running: int, accepting: bool) -> None:
        load = Beat(progress=progress, step_s=step_s, queued=queued, running=running, accepting=accepting)
        if load == self._load:
            return
        self._load = load
        for end in self._ends.values():
            if not end.dialled:
                self._network.encoder.add(end.queued, load)

    def fileno(self) -> int:
        if self._signal is None:
            self._signal = os.pipe()
            os.set_blocking(self._signal[0], False)
            os.set_blocking(self._signal[1], False)
            if self._inbox or self._dialled:
                self._wake_reader()
        return self._signal[0]

    def close(self) -> None:
        if not self.closed:
            self.flush()
            self._end("connection closed", polite=True)

    def peers(self) -> list[Peer]:
        """Who is connected now; for tests."""
        return list(self._ends)

    def _put(self, event: Event) -> None:
        self._inbox.append(event)
        self._wake_reader()

    def _connect(self) -> None:
        for address, stage in list(self._dialled.items()):
            if any(p.address == address for p in self._ends):
                continue
            listener = self._network.listener(address)
            if listener is None:
                self._trouble(address, stage, f"nobody listens at {address}", refused=False)
            elif not self._network.is_cut(self, listener):
                reason = refusal(hello(self.identity, stage, ""), listener.identity)
                if reason is None:
                    self._troubles.pop(address, None)
                    self._join(listener, address, stage)
                else:
                    listener.counters.refused += 1
                    self.counters.refused += 1
                    self._trouble(address, stage, reason, refused=True)

    def _trouble(self, address: str, stage: str, reason: str, *, refused: bool) -> None:
        if self._troubles.get(address) != reason:
            self._troubles[address] = reason
            nobody = Peer(name="", role=Role.STAGE, stage=stage, address=address)
            self._put(PeerDown(nobody, reason, refused))

    def _join(self, listener: "FakeWire", address: str, stage: str) -> None:
        mine = _End(self._network, self, Peer(listener.identity.peer, listener.identity.role, stage, address))
        theirs = _End(
            self._network, listener, Peer(self.identity.peer, self.identity.role, self.identity.stage, address="")
        )
        mine.other, theirs.other = theirs, mine
        for end in (mine, theirs):
            end.wire._ends[end.peer] = end
            end.wire.counters.peers_up += 1
            end.wire._put(PeerUp(end.peer))
        self._network.encoder.add(theirs.queued, listener._load)
        theirs.flush()

    def _notice_cuts(self) -> None:
        for end in list(self._ends.values()):
            since = self._network.cut_since(self, end.owner_of_other)
            if since is not None and self.clock() - since >= self._network.dead_after_s:
                self._break(end, f"no sign of life for {self._network.dead_after_s:g} s")

    def _break(self, end: _End, reason: str) -> None:
        """This side gives up on the connection; the other sees it closed."""
        self._lose(end.peer, reason)
        end.other.wire._lose(end.other.peer, "connection lost")

    def _lose(self, peer: Peer, reason: str) -> None:
        if self._ends.pop(peer, None) is not None and not self.closed:
            self.counters.peers_lost += 1
            self._put(PeerDown(peer, reason))

    def _end(self, reason: str, *, polite: bool) -> None:
        for end in list(self._ends.values()):
            if not polite:
                end.queued = Packet()
            end.other.wire._lose(end.other.peer, reason)
        self.closed = True
        self._ends.clear()
        self._inbox.clear()
        self._dialled.clear()
        if self._signal is not None:
            for fd in self._signal:
                os.close(fd)
            self._signal = None

    def _wake_reader(self) -> None:
        if self._signal is not None:
            try:
                os.write(self._signal[1], b"\0")
            except BlockingIOError:
                pass  # the pipe is full of wake-ups already

    def _drain_signal(self) -> None:
        if self._signal is not None:
            try:
                while os.read(self._signal[0], 4096):
                    pass
            except BlockingIOError:
                pass
