"""The load client of P2: whole chats over kept connections, and the server's CPU time for one of them, in microseconds.

A process of its own, so that asking is not charged to the server.
"""

import json
import selectors
import socket
import sys

from bench.echo_gateway import cpu_ns

_BODY = json.dumps(
    {
        "model": "echo",
        "messages": [
            {"role": "system", "content": "You are kind and brief."},
            {"role": "user", "content": "say this again please"},
        ],
        "max_tokens": 64,
        "temperature": 1,
        "top_p": 1,
        "user": "bench",
    }
).encode()
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\nuser-agent: bench\r\n"
    b"content-type: application/json\r\nauthorization: Bearer none\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_END = b"}}"
"""Of an answer: what closes `usage` and the whole."""
_WARM_UP = 0.2


def measure(port: int, pid: int, connections: int, requests: int) -> float:
    begin = int(requests * _WARM_UP)
    done, cpu = 0, 0
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(_REQUEST)
        while done < requests:
            for key, _ in selector.select(10.0):
                connection = key.fileobj  # type: ignore[assignment]  # what was registered above
                if not _answered(connection):
                    continue
                done += 1
                if done == begin:
                    cpu = cpu_ns(pid)
                connection.sendall(_REQUEST)
        cpu = cpu_ns(pid) - cpu
        for key in list(selector.get_map().values()):
            selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]  # as above
    return cpu / (done - begin) / 1e3


def _answered(connection: socket.socket) -> bool:
    data = connection.recv(1 << 16)
    if b"HTTP/1.1 " in data[:9] and not data.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(data[:500].decode(errors="replace"))
    return data.endswith(_END)


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:5])))
