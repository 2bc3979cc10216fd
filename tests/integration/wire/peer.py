"""A process on the wire, for tests that stop, kill, flood and insult it:

    python -m tests.integration.wire.peer '{"stage": "b", "listen": "ipc:///…", "dial": {"ipc:///…": "c"}}'

A stage passes each Payload to the stage it dialled, or keeps the last one and says Fed; it answers a Submit with an
Output of the same value, or of its counters when the value is "counters". A gateway only listens.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.keys import load_keys
from omnipipe.wire.messages import Fed, Output, Payload, Submit
from omnipipe.wire.port import Identity, Peer, PeerDown, PeerUp, Received, Role
from omnipipe.wire.socket_wire import SocketWire


class Program:
    def __init__(self, wire: SocketWire) -> None:
        self.wire = wire
        self.downstream: Peer | None = None
        self.upstream: Peer | None = None
        self.kept: object = None

    def on_up(self, peer: Peer) -> None:
        if peer.address:
            self.downstream = peer
        elif peer.role is Role.STAGE:
            self.upstream = peer

    def on_message(self, sender: Peer, message: object) -> None:
        wire = self.wire
        if isinstance(message, Submit):
            value = asdict(wire.counters) if message.value == "counters" else message.value
            wire.send(sender, Output(message.rid, "text", 0, value, True))
        elif isinstance(message, Payload):
            if self.downstream is not None:
                wire.send(self.downstream, message)
            else:
                self.kept = None if message.value == "let go" else message.value
                wire.send(sender, Fed(message.rid, wire.identity.stage))
        elif isinstance(message, Fed) and self.upstream is not None:
            wire.send(self.upstream, message)


def main(options: dict[str, Any]) -> None:
    stage = options.get("stage", "")
    identity = Identity("p", "r1", Role.STAGE if stage else Role.GATEWAY, options.get("peer", f"{stage}-0"), stage)
    keys = load_keys(Path(options["keys"])) if "keys" in options else None
    wire = SocketWire(identity, options.get("listen"), TransportPlan(**options.get("transport", {})), keys)
    program = Program(wire)
    for address, name in options.get("dial", {}).items():
        wire.dial(address, name)
    print(wire.listening, flush=True)
    while True:
        for event in wire.poll(1.0):
            match event:
                case PeerUp(peer):
                    program.on_up(peer)
                case PeerDown(peer):
                    if peer is program.downstream:
                        program.downstream = None
                case Received(peer, message):
                    program.on_message(peer, message)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
