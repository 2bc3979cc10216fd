"""Whoever dials is a stranger until it has said a Hello that fits: what a listener makes of it, over any sockets."""

from collections.abc import Sequence
from typing import Final

from omnipipe.wire.codec import Packet
from omnipipe.wire.connection import Connection, Link
from omnipipe.wire.handshake import FROM_GATEWAY, FROM_UPSTREAM, refusal
from omnipipe.wire.hub import Hub
from omnipipe.wire.messages import WIRE_VERSION, Hello, Message, Refuse, Welcome
from omnipipe.wire.port import Peer, Role
from omnipipe.wire.tensors import Buffer

__all__ = ["MAX_CONNECTIONS", "Greeter"]

MAX_CONNECTIONS: Final = 4096


class Greeter:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._inline_only: set[str] = set()
        """Names of peers whose memory could not be mapped although it could at Hello."""

    def hello(self, header: Buffer, frames: Sequence[Buffer], nbytes: int) -> Hello | None:
        """What a stranger's packet says. Anything else is rejected."""
        hub = self._hub
        hub.counters.received_packets += 1
        hub.counters.received_bytes += len(header) + nbytes
        messages, bad = hub.decoder.decode(header, frames)
        for error in bad:
            hub.rejections.add("a stranger", error)
        said = None
        for message in messages:
            if isinstance(message, Hello) and said is None:
                hub.counters.received_messages += 1
                said = message
            else:
                hub.rejections.add("a stranger", f"{type(message).__name__} on a connection without Hello")
        return said

    def refusal(self, said: Hello, connected: int) -> str | None:
        """Why it is not let in."""
        hub = self._hub
        reason = refusal(said, hub.identity)
        if reason is None and connected >= MAX_CONNECTIONS:
            reason = f"{hub.identity.peer} has {MAX_CONNECTIONS} connections already"
        if reason is not None:
            hub.counters.refused += 1
        return reason

    def welcome(self, said: Hello, link: Link, route: bytes) -> tuple[Connection, list[Buffer]]:
        """The connection, to be opened when the packet has been sent, which is the answer."""
        hub = self._hub
        role = Role(said.role)
        offered = hub.memory is not None and said.host and said.peer not in self._inline_only
        borrower = hub.memory.reach(said.host) if hub.memory is not None and offered else None
        connection = Connection(
            peer=Peer(name=said.peer, role=role, stage=said.own_stage, address=""),
            link=link,
            route=route,
            sayable=FROM_GATEWAY if role is Role.GATEWAY else FROM_UPSTREAM,
            borrower=borrower or 0,
            now=hub.now,
        )
        host = hub.memory.host if hub.memory is not None and borrower else ""
        answer = Welcome(WIRE_VERSION, hub.identity.peer, "shm" if borrower else "inline", host)
        return connection, self._packed(answer)

    def avoid_memory(self, peer: str) -> None:
        self._inline_only.add(peer)

    def _packed(self, message: Message) -> list[Buffer]:
        packet = Packet()
        self._hub.encoder.add(packet, message)
        return packet.seal()

    def given_up(self) -> list[Buffer]:
        """What a peer is told whose connection ends on our side."""
        return self.refused("this connection was given up (silent or stalled): dial again")

    def refused(self, reason: str) -> list[Buffer]:
        return self._packed(Refuse(reason))
