"""Ports of loopback for servers that have to be told theirs before they start. A server that can say which one it got
is asked for port 0 instead."""

import random
import socket

__all__ = ["free_port"]

_PORTS = (20_000, 32_000)
"""Below the range from which the system hands out ports to whoever asks for any: nobody is given one of these between
its being found free and its being taken."""

_given: set[int] = set()
"""In this session: whoever was given one may take a while to take it."""


def free_port() -> int:
    while True:
        port = random.randint(*_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
