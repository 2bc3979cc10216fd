"""The port that stages and coordinators use: who is up, what came, send this. Real: `socket_wire.SocketWire`; fake:
`fake.FakeNetwork`.

One thread owns a Wire: only `wake` may be called from another. Nothing here blocks except `poll` with a timeout.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from omnipipe.wire.messages import Message

__all__ = ["Event", "Identity", "Peer", "PeerDown", "PeerUp", "Received", "Role", "Wire"]


class Role(StrEnum):
    GATEWAY = "gateway"
    STAGE = "stage"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is on the wire."""

    pipeline: str
    revision: str
    role: Role
    peer: str
    """Unique for the life of this process."""
    stage: str = ""
    """The stage this process is a replica of; empty for a gateway."""


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """One connection, dialled or accepted, from Hello to its end. A reconnect is another Peer.

    Compared and hashed by identity."""

    name: str
    """The other side's `Identity.peer`."""
    role: Role
    stage: str
    """Dialled: the stage that was asked for. Accepted: the dialler's own stage, empty for a gateway."""
    address: str
    """Dialled: the address. Accepted: empty."""


@dataclass(frozen=True, slots=True)
class PeerUp:
    """Hello and Welcome are exchanged: `send` works."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The peer is dead, stalled, refused us, or was hung up by its own side. A dialled address is dialled again, with
    backoff, until `hang_up`; for a connection that never came up `peer` carries the address and an empty name."""

    peer: Peer
    reason: str
    refused: bool = False


class Received(msgspec.Struct, frozen=True, gc=False):
    """One message. A struct: thousands a second are made, and a frozen dataclass takes ten times as long."""

    peer: Peer
    message: Message


Event = PeerUp | PeerDown | Received


class Wire(Protocol):
    def dial(self, address: str, stage: str) -> None:
        """Keeps a connection to a replica; `PeerUp`/`PeerDown` follow. Idempotent."""

    def hang_up(self, address: str) -> None:
        """Ends a dialled connection after flushing what was sent; no event follows."""

    def send(self, peer: Peer, message: Message) -> None:
        """Queues for the next flush. Never blocks. Raises PeerLost when the peer is gone or its bounded outbox is full
        (which also brings a PeerDown), TooBig when this one message cannot travel."""

    def flush(self) -> None:
        """Puts queued messages on the wire, one packet a peer. `poll` does it first; asyncio users let `AioPump`."""

    def poll(self, timeout_s: float) -> list[Event]:
        """Flushes, waits at most `timeout_s` for something to happen, beats hearts, and returns what happened.
        Returns early (possibly empty) after `wake`."""

    def wake(self) -> None:
        """Makes a running or the next `poll` return at once. The one call that is safe from any thread or signal."""

    def set_load(self, *, progress: int, step_s: float, queued: int, running: int, accepting: bool) -> None:
        """What the next heartbeats say of this process."""

    def fileno(self) -> int:
        """Readable when `poll(0)` has something to return. For event loops: see `aio.AioPump`."""

    def close(self) -> None:
        """Flushes what it can within a moment, then closes everything it opened."""
