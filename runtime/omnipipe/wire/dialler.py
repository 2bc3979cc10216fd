"""The side that dials: one address, a new line for each attempt, again and again until it is hung up."""

from collections.abc import Sequence
from typing import Final

from omnipipe.wire.codec import Packet
from omnipipe.wire.connection import Connection
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.handshake import FROM_LISTENER, hello
from omnipipe.wire.hub import Hub
from omnipipe.wire.lines import Line, Sockets
from omnipipe.wire.messages import WIRE_VERSION, Refuse, Welcome
from omnipipe.wire.port import Peer, PeerDown, Role
from omnipipe.wire.tensors import Buffer

__all__ = ["Dialler"]

_FIRST_RETRY_S: Final = 0.05
_LAST_RETRY_S: Final = 2.0
_ANSWER_S: Final = 3.0
"""From dialling to Welcome. A listener that takes longer is not polling."""


class Dialler:
    """`connection.Link` and `lines.Caller`."""

    def __init__(self, hub: Hub, sockets: Sockets, address: str, stage: str) -> None:
        self._hub = hub
        self._sockets = sockets
        self.address: Final = address
        self.stage: Final = stage
        self._connection: Connection | None = None
        self._line: Line | None = None
        self._retry_s = _FIRST_RETRY_S
        self._due = 0.0
        """Without a line: when to dial again. With one but no connection: when to stop waiting for Welcome."""
        self._trouble = ""
        """What was last said about this address, so that it is said once."""
        self._offer_memory = hub.memory is not None
        self._dial()

    def tick(self) -> None:
        now = self._hub.now
        if self._line is None:
            if now >= self._due:
                self._dial()
        elif self._connection is None and now >= self._due:
            self._fail(f"{self.address} did not answer within {_ANSWER_S:g} s")

    def close(self, linger_s: float) -> None:
        """For good; what was flushed may still go within `linger_s`."""
        if self._connection is not None:
            self._hub.forget(self._connection)
            self._connection = None
        self._drop(linger_s)

    # `connection.Link`

    def transmit(self, connection: Connection, frames: list[Buffer]) -> bool:
        if self._line is None or connection is not self._connection:
            raise PeerLost("the connection is closed")
        return self._line.send(frames)

    def part(self, connection: Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._drop(0.0)
            self._again(_FIRST_RETRY_S)

    def avoid_memory(self, connection: Connection) -> None:
        self._offer_memory = False

    # `lines.Caller`

    def packet(self, header: Buffer, frames: Sequence[Buffer], nbytes: int) -> None:
        if self._connection is not None:
            self._hub.arrived(self._connection, header, frames, nbytes)
        else:
            self._answered(header, frames, nbytes)

    def ended(self, reason: str, broken: bool) -> None:
        if broken:
            self._hub.rejections.add(self.address, reason)
        self._fail(reason)

    def writable(self) -> None:
        if self._connection is not None:
            self._hub.resume(self._connection)

    # Details

    def _dial(self) -> None:
        self._due = self._hub.now + _ANSWER_S
        memory = self._hub.memory
        host = memory.host if memory is not None and self._offer_memory else ""
        packet = Packet()
        self._hub.encoder.add(packet, hello(self._hub.identity, self.stage, host))
        try:
            self._line = self._sockets.call(self.address, self)
            self._line.send(packet.seal())
        except PeerLost as error:
            self._fail(str(error))

    def _answered(self, header: Buffer, frames: Sequence[Buffer], nbytes: int) -> None:
        """Before Welcome: that or Refuse, nothing else."""
        hub = self._hub
        hub.counters.received_packets += 1
        hub.counters.received_bytes += len(header) + nbytes
        messages, bad = hub.decoder.decode(header, frames)
        for error in bad:
            hub.rejections.add(self.address, error)
        for message in messages:
            if isinstance(message, Refuse):
                hub.counters.received_messages += 1
                hub.counters.refused += 1
                self._fail(message.reason, refused=True)
            elif isinstance(message, Welcome) and self._connection is None:
                hub.counters.received_messages += 1
                self._welcomed(message)
            else:
                hub.rejections.add(self.address, f"{type(message).__name__} before Welcome")

    def _welcomed(self, said: Welcome) -> None:
        hub = self._hub
        if said.wire != WIRE_VERSION:
            self._fail(
                f"{said.peer} speaks wire version {said.wire}, this side {WIRE_VERSION}: upgrade the older one",
                refused=True,
            )
            return
        borrower = 0
        if said.transport == "shm":
            borrower = (hub.memory.reach(said.host) if hub.memory is not None and self._offer_memory else None) or 0
            if not borrower:
                self._offer_memory = False  # it maps ours, we cannot map its: dial again without
                self._drop(0.0)
                self._again(_FIRST_RETRY_S)
                return
        self._retry_s = _FIRST_RETRY_S
        self._trouble = ""
        peer = Peer(name=said.peer, role=Role.STAGE, stage=self.stage, address=self.address)
        self._connection = Connection(peer, self, b"", FROM_LISTENER, borrower, hub.now)
        hub.open(self._connection)

    def _fail(self, reason: str, *, refused: bool = False) -> None:
        connection, self._connection = self._connection, None
        self._drop(0.0)
        if connection is not None:
            self._hub.lose(connection, reason, refused=refused)
        elif reason != self._trouble:
            self._trouble = reason
            nobody = Peer(name="", role=Role.STAGE, stage=self.stage, address=self.address)
            self._hub.report(PeerDown(nobody, reason, refused))
        self._again(_LAST_RETRY_S if refused else self._retry_s)

    def _again(self, after_s: float) -> None:
        self._due = self._hub.now + after_s
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)

    def _drop(self, linger_s: float) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close(linger_s)
