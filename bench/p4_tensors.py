"""P4: a tensor from process A through B to C, acknowledged back to A, over the real wire.

Each size in turns: one memcpy of that size (over 256 MiB, as the tensors are), the wire with shared memory, the wire
with everything in the messages. At most WINDOW chunks or WINDOW_BYTES are on the way, and C looks at the last byte.
Rounds alternate; the table has the medians. A tensor below the inline limit travels in the message in both.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from bench.row import Row

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.messages import Ack, Chunk
from omnipipe.wire.port import Identity, Peer, PeerUp, Received, Role
from omnipipe.wire.socket_wire import SocketWire
from omnipipe.wire.value import Tensor

__all__ = ["rows"]

KIB: Final = 1 << 10
SIZES: Final = (4 * KIB, 1 << 20, 4 << 20, 64 << 20)
COUNTS: Final = {4 * KIB: 1000, 1 << 20: 400, 4 << 20: 100, 64 << 20: 8}
INLINE_COUNTS: Final = {4 * KIB: 1000, 1 << 20: 25, 4 << 20: 10, 64 << 20: 1}
GOALS: Final = {1 << 20: 0.6, 4 << 20: 0.8, 64 << 20: 0.9}
REGION: Final = 256 << 20
WINDOW: Final = 8
WINDOW_BYTES: Final = 128 << 20
START_S: Final = 20.0
INLINE: Final = TransportPlan(inline_limit_bytes=1 << 40)
SHARED: Final = TransportPlan()

Bytes = npt.NDArray[np.uint8]


def identity(stage: str) -> Identity:
    return Identity("bench", "bench", Role.STAGE, f"{stage}-0", stage)


def relay(stage: str, listen: str, target: str, transport: TransportPlan) -> None:
    """B passes chunks on and acknowledgements back; C, without a target, looks and acknowledges."""
    wire = SocketWire(identity(stage), listen, transport)
    if target:
        wire.dial(target, "c")
    downstream: Peer | None = None
    upstream: Peer | None = None
    while True:
        for event in wire.poll(1.0):
            if isinstance(event, PeerUp):
                if event.peer.address:
                    downstream = event.peer
                else:
                    upstream = event.peer
            elif isinstance(event, Received):
                message = event.message
                if isinstance(message, Ack) and upstream is not None:
                    wire.send(upstream, message)
                elif isinstance(message, Chunk):
                    if downstream is not None:
                        wire.send(downstream, message)
                    else:
                        message.value.data[-1]
                        wire.send(event.peer, Ack(message.rid, message.input, message.seq))
                del message  # the loan ends here, not with the next message
            del event


class Chain:
    """A, here, and its two processes."""

    def __init__(self, folder: Path, name: str, transport: TransportPlan) -> None:
        addresses = [f"ipc://{folder}/{name}-{stage}.sock" for stage in "bc"]
        kind = "inline" if transport is INLINE else "shared"
        self._processes = [
            subprocess.Popen([sys.executable, "-m", "bench.p4_tensors", "--stage", stage, listen, target, kind])
            for stage, listen, target in (("b", addresses[0], addresses[1]), ("c", addresses[1], ""))
        ]
        self._wire = SocketWire(identity("a"), None, transport)
        self._wire.dial(addresses[0], "b")
        self._peer = self._connected()
        self._position = 0
        while not self._through(np.zeros(8, np.uint8)):
            pass

    def us_each(self, source: Bytes, size: int, count: int) -> float:
        sent = acknowledged = 0
        window = min(WINDOW, max(1, WINDOW_BYTES // size))
        start = time.perf_counter()
        while acknowledged < count:
            while sent < count and sent - acknowledged < window:
                self._send(source, size, sent)
                sent += 1
            acknowledged += self._acknowledged()
        return (time.perf_counter() - start) / count * 1e6

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(10)
        self._wire.close()

    def _send(self, source: Bytes, size: int, seq: int) -> None:
        if self._position + size > REGION:
            self._position = 0
        part = source[self._position : self._position + size]
        self._position += size
        self._wire.send(self._peer, Chunk("r", "a", "in", seq, Tensor("u8", (size,), part.data)))

    def _acknowledged(self) -> int:
        return sum(isinstance(e, Received) and isinstance(e.message, Ack) for e in self._wire.poll(1.0))

    def _connected(self) -> Peer:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for event in self._wire.poll(0.1):
                if isinstance(event, PeerUp):
                    return event.peer
        raise TimeoutError("the processes did not come up")

    def _through(self, data: Bytes) -> bool:
        """B may not have C yet: what it gets before, it acknowledges itself."""
        self._wire.send(self._peer, Chunk("warm-up", "a", "in", 0, Tensor("u8", data.shape, data.data)))
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._acknowledged():
                return True
        raise TimeoutError("no acknowledgement")


@contextlib.contextmanager
def chain(folder: Path, name: str, transport: TransportPlan) -> Iterator[Chain]:
    running = Chain(folder, name, transport)
    try:
        yield running
    finally:
        running.close()


def memcpy_us(source: Bytes, target: Bytes, size: int, count: int) -> float:
    position = 0
    start = time.perf_counter()
    for _ in range(count):
        if position + size > REGION:
            position = 0
        target[position : position + size] = source[position : position + size]
        position += size
    return (time.perf_counter() - start) / count * 1e6


def measure(rounds: int) -> dict[tuple[int, str], float]:
    source, target = np.ones(REGION, np.uint8), np.ones(REGION, np.uint8)
    times: dict[tuple[int, str], list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        chain(Path(folder), "shared", SHARED) as shared,
        chain(Path(folder), "inline", INLINE) as inline,
    ):
        for size in SIZES:
            shared.us_each(source, size, 12)
        for _ in range(rounds):
            for size in SIZES:
                count = COUNTS[size]
                times.setdefault((size, "memcpy"), []).append(memcpy_us(source, target, size, max(count, 4)))
                times.setdefault((size, "shared"), []).append(shared.us_each(source, size, count))
                times.setdefault((size, "inline"), []).append(inline.us_each(source, size, INLINE_COUNTS[size]))
    return {key: statistics.median(values) for key, values in times.items()}


def rows(rounds: int = 9) -> list[Row]:
    times = measure(rounds)
    table = []
    for size in sorted(SIZES, reverse=True):
        shared, inline, memcpy = (times[size, way] for way in ("shared", "inline", "memcpy"))
        name = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
        goal = GOALS.get(size)
        if goal is None:
            row = Row(
                "P4", f"{name} over 2 hops, acknowledged", f"{shared:,.0f} us", f"{inline:,.0f} us (all inline)",
                shared / inline, "not slower than inline (10% noise)", shared <= inline * 1.1,
            )  # fmt: skip
        else:
            row = Row(
                "P4", f"{name} over 2 hops, acknowledged", f"{shared:,.0f} us (inline {inline:,.0f})",
                f"{memcpy:,.0f} us (memcpy)", memcpy / shared, f">= {goal:.0%} of memcpy", memcpy >= goal * shared,
            )  # fmt: skip
        table.append(row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--stage", nargs=4, metavar=("NAME", "LISTEN", "TARGET", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage, listen, target, kind = options.stage
        relay(stage, listen, target, INLINE if kind == "inline" else SHARED)
        return
    for row in rows(options.rounds):
        print(f"{row.work:38} {row.figure:28} {row.baseline:24} {row.ratio or 0:6.2f}  {row.goal}  {row.met}")


if __name__ == "__main__":
    main()
