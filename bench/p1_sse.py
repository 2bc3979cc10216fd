"""P1: the gateway's CPU for one frame of an event stream, from real stage processes, at 8, 64 and 256 streams.

Beside it, in turns, a bare ASGI app under the same server that sends frames made beforehand (`bare_sse`). Both send a
frame to every stream once a step; CPU is that of all the server's threads, the wire's among them.
"""

import argparse
import statistics
import subprocess
import sys

from bench.echo_gateway import Running, echo_gateway, free_port, process, wait_ready
from bench.row import Row

__all__ = ["rows"]

_GOALS_US = {8: 18.0, 64: 10.0, 256: 10.0}
_MAX_RATIO = 1.8
_STEPS = {8: (1500, 0.002), 64: (500, 0.005), 256: (250, 0.010)}
"""How many a run, and how long each: what a decode of such a batch takes on an accelerator."""


def rows(rounds: int = 5) -> list[Row]:
    found = []
    with echo_gateway(max_batch=256, max_running=512) as gateway:
        for streams, goal in _GOALS_US.items():
            pairs = [(_load(gateway, streams), _bare(streams)) for _ in range(rounds)]
            ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
            found.append(
                Row(
                    id="P1",
                    work=f"gateway CPU for one SSE frame, {streams} streams",
                    figure=f"{ours:.1f} us",
                    baseline=f"{bare:.1f} us: bare ASGI, prebuilt frames",
                    ratio=ours / bare,
                    goal=f"<= {goal:g} us and <= {_MAX_RATIO:g}x",
                    met=ours <= goal and ours <= _MAX_RATIO * bare,
                )
            )
    return found


def _bare(streams: int) -> float:
    port = free_port()
    with process("bench.bare_sse", str(port), str(streams), *map(str, _STEPS[streams])) as server:
        wait_ready(port)
        return _load(Running(server.pid, port), streams)


def _load(server: Running, streams: int) -> float:
    args = [server.port, server.pid, streams, *_STEPS[streams]]
    command = [sys.executable, "-m", "bench.sse_load", *map(str, args)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    for row in rows(parser.parse_args().rounds):
        print(row)
