"""Makes processes on the wire quickly, because a test wants hundreds: one line of JSON in, one forked peer out.

    {"name": "gw-17", "dial": "ipc:///…"}   ->   its pid; it polls until it is killed

This process itself never opens a socket, so that what it forks is clean.
"""

import json
import os
import signal
import sys

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.port import Identity, Received, Role
from omnipipe.wire.socket_wire import SocketWire
from omnipipe.wire.value import Tensor


def live(name: str, address: str) -> None:
    wire = SocketWire(Identity("p", "r1", Role.GATEWAY, name), None, TransportPlan())
    wire.dial(address, "a")
    kept: list[Tensor] = []
    while True:
        values = [getattr(e.message, "value", None) for e in wire.poll(1.0) if isinstance(e, Received)]
        kept += [value for value in values if isinstance(value, Tensor)]


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live(order["name"], order["dial"])
        print(pid, flush=True)


if __name__ == "__main__":
    main()
