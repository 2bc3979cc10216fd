"""The same few calls over the fake and over real sockets, so that one test can hold both to the port."""

import time
from collections.abc import Callable
from pathlib import Path

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.fake import FakeNetwork, FakeWire
from omnipipe.wire.keys import CurveKeys, write_keys
from omnipipe.wire.messages import Beat, Message
from omnipipe.wire.port import Event, Identity, Peer, PeerDown, PeerUp, Received, Role
from omnipipe.wire.socket_wire import SocketWire

__all__ = ["KINDS", "World", "gateway_identity", "stage_identity"]

KINDS = ("fake", "ipc", "ipc without shared memory", "tcp", "tcp with keys")
AnyWire = FakeWire | SocketWire


def stage_identity(name: str = "a", *, peer: str = "", revision: str = "r1", pipeline: str = "p") -> Identity:
    return Identity(pipeline, revision, Role.STAGE, peer or f"{name}-0", name)


def gateway_identity(peer: str = "gw", *, revision: str = "r1", pipeline: str = "p") -> Identity:
    return Identity(pipeline, revision, Role.GATEWAY, peer)


class World:
    """Wires of one kind, all polled by `until`. What each has seen is in `seen`."""

    def __init__(self, kind: str, folder: Path, transport: TransportPlan | None = None) -> None:
        self.kind = kind
        self.folder = folder
        self.network = FakeNetwork()
        self.transport = transport or TransportPlan()
        if kind == "ipc without shared memory":
            self.transport = self.transport.model_copy(update={"inline_limit_bytes": 1 << 40})
        self.keys: CurveKeys | None = write_keys(folder / "keys") if kind == "tcp with keys" else None
        self.wires: list[AnyWire] = []
        self.seen: dict[int, list[Event]] = {}

    def wire(self, identity: Identity, *, listens: bool = False, address: str = "") -> AnyWire:
        wire: AnyWire
        if self.kind == "fake":
            wire = self.network.wire(identity, (address or f"fake://{identity.peer}") if listens else None)
        else:
            default = (
                f"ipc://{self.folder}/{identity.peer}.sock" if self.kind.startswith("ipc") else "tcp://127.0.0.1:0"
            )
            wire = SocketWire(identity, (address or default) if listens else None, self.transport, self.keys)
        self.wires.append(wire)
        self.seen[id(wire)] = []
        return wire

    def pair(self) -> tuple[AnyWire, AnyWire, Peer, Peer]:
        """A stage, a gateway that dialled it, what the gateway calls the stage, what the stage calls the gateway."""
        stage = self.wire(stage_identity(), listens=True)
        gateway = self.wire(gateway_identity())
        gateway.dial(stage.listening, "a")
        self.until(lambda: bool(self.ups(gateway) and self.ups(stage)))
        return stage, gateway, self.ups(gateway)[0], self.ups(stage)[0]

    def until(self, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"it did not come; last seen: {self._last_seen()}"
            self.poll_all()

    def _last_seen(self) -> list[list[Event]]:
        return [events[-5:] for events in self.seen.values()]

    def poll_all(self) -> None:
        for wire in self.wires:
            self.seen[id(wire)] += wire.poll(0.002)

    def ups(self, wire: AnyWire) -> list[Peer]:
        return [event.peer for event in self.seen[id(wire)] if isinstance(event, PeerUp)]

    def downs(self, wire: AnyWire) -> list[PeerDown]:
        return [event for event in self.seen[id(wire)] if isinstance(event, PeerDown)]

    def messages(self, wire: AnyWire) -> list[Message]:
        return [
            event.message
            for event in self.seen[id(wire)]
            if isinstance(event, Received) and not isinstance(event.message, Beat)
        ]

    def beats(self, wire: AnyWire) -> list[Beat]:
        return [
            event.message
            for event in self.seen[id(wire)]
            if isinstance(event, Received) and isinstance(event.message, Beat)
        ]

    def forget(self) -> None:
        for events in self.seen.values():
            events.clear()

    def forget_messages(self, wire: AnyWire) -> None:
        self.seen[id(wire)] = [event for event in self.seen[id(wire)] if not isinstance(event, Received)]

    def drop(self, wire: AnyWire) -> None:
        wire.close()
        self.wires.remove(wire)

    def close(self) -> None:
        for wire in self.wires:
            wire.close()
        self.forget()
        self.wires.clear()
