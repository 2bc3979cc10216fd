"""The load client of P1: opens the streams, counts frames, and reads the server's CPU time around the steady middle.

A process of its own, so that counting is not charged to the server; it looks at its sockets every half millisecond
rather than whenever one is readable, for waking it up would be: a client on another machine wakes nobody here.
Prints microseconds of server CPU for one frame.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator

from bench.echo_gateway import cpu_ns

_MARK = b'"delta":{"content":'
_MIDDLE = (0.15, 0.85)
"""Parts of all frames at which the measured middle begins and ends."""
_LOOK_EVERY_S = 0.0005
_DEADLINE_S = 120.0


def measure(port: int, pid: int, streams: int, frames: int, step_s: float) -> float:
    bounds = [streams * frames * part for part in _MIDDLE]
    samples: list[tuple[int, int]] = []
    for seen in _counts(port, streams, frames, step_s):
        if len(samples) < len(bounds) and seen >= bounds[len(samples)]:
            samples.append((seen, cpu_ns(pid)))
    (frames_0, cpu_0), (frames_1, cpu_1) = samples
    return (cpu_1 - cpu_0) / (frames_1 - frames_0) / 1e3


def _counts(port: int, streams: int, frames: int, step_s: float) -> Iterator[int]:
    """The frames seen so far, again and again until all streams have ended."""
    seen = 0
    end = time.monotonic() + _DEADLINE_S
    with selectors.DefaultSelector() as selector:
        for index in range(streams):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(_request(frames, step_s if not index else 0.0))
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() > end:
                raise TimeoutError(f"{len(selector.get_map())} streams of {streams} did not end")
            for key, _ in selector.select(1.0):
                connection = key.fileobj  # type: ignore[assignment]  # what was registered above
                data = connection.recv(1 << 18)
                seen += data.count(_MARK)
                if not data or data.endswith(b"0\r\n\r\n"):
                    selector.unregister(connection)
                    connection.close()
            yield seen
            time.sleep(_LOOK_EVERY_S)


def _request(frames: int, block_s: float) -> bytes:
    """One stream paces the engine: it blocks each step for as long as a decode would take; all others ride along."""
    compose = {"chunks": frames, "chunk_bytes": 5, "block_ms": block_s * 1e3}
    body = json.dumps(
        {
            "model": "echo",
            "stream": True,
            "messages": [{"role": "user", "content": "go"}],
            "stage_params": {"compose": compose},
        }
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    port, pid, streams, frames = map(int, sys.argv[1:5])
    print(measure(port, pid, streams, frames, float(sys.argv[5])))
