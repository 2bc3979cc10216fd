"""What the wire asks of a kind of sockets, and how it calls what it gets. Kinds: `ipc` and `tcp`.

A `Line` is a socket that dials one address once. A `Door` listens.
"""

from collections.abc import Sequence
from typing import Protocol

from omnipipe.wire.tensors import Buffer

__all__ = ["Caller", "Door", "Line", "Sockets"]


class Caller(Protocol):
    """Whoever opened a line. Nothing is called from within `Sockets.call` or the line's own methods."""

    def packet(self, header: Buffer, frames: Sequence[Buffer], nbytes: int) -> None:
        """Frame 0, buffer frames, bytes of these."""

    def ended(self, reason: str, broken: bool) -> None:
        """After all packets that came. The line is to be closed. `broken`: the other side did not keep to what the
        sockets speak."""

    def writable(self) -> None:
        """What did not go may go now."""


class Line(Protocol):
    def send(self, frames: list[Buffer]) -> bool:
        """One packet, whole or not at all. False: not now. Raises PeerLost."""

    def close(self, linger_s: float) -> None:
        """What was sent may still leave within `linger_s`. Nothing is called any more."""


class Door(Protocol):
    @property
    def address(self) -> str:
        """With the real port."""

    def tick(self) -> None: ...

    def close(self, linger_s: float) -> None: ...


class Sockets(Protocol):
    """One kind, for one wire."""

    def listen(self, address: str) -> Door:
        """Raises WireError."""

    def call(self, address: str, caller: Caller) -> Line:
        """Raises PeerLost when it is known at once that nobody can be reached."""
