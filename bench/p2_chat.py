"""P2: the gateway's CPU for one whole chat, with every field validated, metrics, access log, and real stages behind it.

Beside it, in turns, a bare ASGI app under the same server (`bare_chat`). CPU is that of all the server's threads.
"""

import argparse
import statistics
import subprocess
import sys

from bench.echo_gateway import Running, echo_gateway, free_port, process, wait_ready
from bench.row import Row

__all__ = ["rows"]

_CONNECTIONS = 8
_REQUESTS = 4000
_GOAL_US = 150.0


def rows(rounds: int = 5) -> list[Row]:
    port = free_port()
    with echo_gateway(max_batch=32, max_running=256) as gateway, process("bench.bare_chat", str(port)) as bare:
        wait_ready(port)
        pairs = [(_load(gateway), _load(Running(bare.pid, port))) for _ in range(rounds)]
    ours, base = (statistics.median(column) for column in zip(*pairs, strict=True))
    row = Row(
        id="P2",
        work="gateway CPU for one whole chat",
        figure=f"{ours:.0f} us",
        baseline=f"{base:.0f} us: bare ASGI, prebuilt answer",
        ratio=ours / base,
        goal=f"<= {_GOAL_US:.0f} us",
        met=ours <= _GOAL_US,
    )
    return [row]


def _load(server: Running) -> float:
    command = [sys.executable, "-m", "bench.chat_load", *map(str, (server.port, server.pid, _CONNECTIONS, _REQUESTS))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    for row in rows(parser.parse_args().rounds):
        print(row)
