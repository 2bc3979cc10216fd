"""P3: a request from the Coordinator through three real stage processes and back, without tensors.

Beside it, in turns, a bare pyzmq chain of three relay processes with messages of the same size: no requests, no
bookkeeping, no credit. Rounds alternate; the table has the medians. `--profile` prints what the driver's time goes to;
the CPU time of each process goes to standard error.
"""

import argparse
import asyncio
import contextlib
import cProfile
import itertools
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
import zmq
from bench.chain_stage import DRIVER, PORT
from bench.row import Row

from omnipipe.coordinator.connection import connect
from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.coordinator.flight import OmniRequest
from omnipipe.spec.plan import EdgeKind, EnginePlan, GatewayPlan, Plan, PlanEdge, PlanOutput, PlanStage

__all__ = ["rows"]

NAMES = ("first", "second", "third")
VALUE = {"text": "x" * 64}
MESSAGE_BYTES = 200
"""About what a Submit of this request has on the wire."""
SERIAL = 500
CONCURRENCY = 32
MAX_BATCH = CONCURRENCY // 2
"""With all in one step the requests would move in one convoy: one process at work, the others waiting for it."""
ROUND_S = 2.0
GOAL_P50_MS = 0.3
GOAL_RATE = 15_000
START_S = 20.0


@dataclass(frozen=True)
class Round:
    p50_ms: float
    rate: float
    cpu_us: tuple[float, ...]
    """A request at full rate: the driver, then each process of the chain."""


def make_plan(folder: Path) -> Plan:
    stages = tuple(
        PlanStage(
            name=name,
            program="bench.chain_stage:Pass",
            engine=EnginePlan(max_batch=MAX_BATCH),
            addresses=(f"ipc://{folder}/{name}.sock",),
        )
        for name in NAMES
    )
    edges = tuple(
        PlanEdge(source=a, target=b, port=PORT, input="in", kind=EdgeKind.PAYLOAD, type="json")
        for a, b in itertools.pairwise(NAMES)
    )
    return Plan(
        pipeline="chain",
        revision="bench",
        family="bench",
        stages=stages,
        edges=edges,
        outputs=(PlanOutput(name="text", stage=NAMES[-1], port=PORT, type="json"),),
        gateway=GatewayPlan(served_names=("chain",)),
    )


@contextlib.contextmanager
def processes(commands: list[list[str]]) -> Iterator[list[int]]:
    running = [subprocess.Popen([sys.executable, "-m", "bench.chain_stage", *command]) for command in commands]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(10)


def cpu_s(pid: int) -> float:
    """All threads of a process, the I/O thread of libzmq included."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Meter:
    """CPU time of this process and others over some work."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = [os.getpid(), *pids]
        self._before = [cpu_s(pid) for pid in self._pids]

    def us_each(self, count: int) -> tuple[float, ...]:
        return tuple((cpu_s(p) - b) * 1e6 / count for p, b in zip(self._pids, self._before, strict=True))


async def ask(coordinator: Coordinator) -> None:
    flight = await coordinator.submit(OmniRequest("r", VALUE, frozenset({"text"}), frozenset({"text"})))
    try:
        while await flight.next():
            pass
    finally:
        flight.close()


async def ours(coordinator: Coordinator, pids: list[int]) -> Round:
    times = []
    for _ in range(SERIAL):
        start = time.perf_counter()
        await ask(coordinator)
        times.append(time.perf_counter() - start)
    meter, done = Meter(pids), 0
    start = time.perf_counter()
    end = start + ROUND_S

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await ask(coordinator)
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(client())
    rate = done / (time.perf_counter() - start)
    return Round(statistics.median(times) * 1e3, rate, meter.us_each(done))


def bare(enter: zmq.Socket[bytes], leave: zmq.Socket[bytes], pids: list[int]) -> Round:
    message = b"x" * MESSAGE_BYTES
    times = []
    for _ in range(SERIAL):
        start = time.perf_counter()
        enter.send(message)
        leave.recv()
        times.append(time.perf_counter() - start)
    meter, done = Meter(pids), 0
    start = time.perf_counter()
    for _ in range(CONCURRENCY):
        enter.send(message)
    while time.perf_counter() - start < ROUND_S:
        leave.recv()
        enter.send(message)
        done += 1
    rate = done / (time.perf_counter() - start)
    for _ in range(CONCURRENCY):
        leave.recv()
    return Round(statistics.median(times) * 1e3, rate, meter.us_each(done))


@contextlib.contextmanager
def bare_chain(folder: Path) -> Iterator[Callable[[], Round]]:
    addresses = [f"ipc://{folder}/relay-{i}.sock" for i in range(len(NAMES))]
    with processes([["relay", *addresses[i : i + 2]] for i in range(len(NAMES))]) as pids, zmq.Context() as context:
        enter, leave = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        enter.connect(addresses[0])
        leave.setsockopt(zmq.ROUTING_ID, DRIVER)
        leave.connect(addresses[-1])
        leave.send(b"hello")  # answered by the last relay: it knows us from now on
        leave.recv()
        try:
            yield lambda: bare(enter, leave, pids)
        finally:
            context.destroy(linger=0)


async def measure(rounds: int, profile: cProfile.Profile | None) -> tuple[list[Round], list[Round]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = make_plan(folder)
        path = folder / "plan.json"
        path.write_text(plan.to_json())
        with processes([["stage", str(path), stage] for stage in NAMES]) as pids, bare_chain(folder) as baseline:
            async with connect(plan) as coordinator:
                async with asyncio.timeout(START_S):
                    while not coordinator.health().ready:  # noqa: ASYNC110 - health has no event
                        await asyncio.sleep(0.01)
                await ours(coordinator, pids)
                pairs = []
                for _ in range(rounds):
                    if profile is not None:
                        profile.enable()
                    mine = await ours(coordinator, pids)
                    if profile is not None:
                        profile.disable()
                    pairs.append((mine, await asyncio.to_thread(baseline)))
                return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def middle(rounds: list[Round]) -> Round:
    cpu = tuple(statistics.median(column) for column in zip(*(r.cpu_us for r in rounds), strict=True))
    return Round(statistics.median(r.p50_ms for r in rounds), statistics.median(r.rate for r in rounds), cpu)


def rows(rounds: int = 5, profile: cProfile.Profile | None = None) -> list[Row]:
    mine, bare_ones = (middle(r) for r in uvloop.run(measure(rounds, profile)))
    for name, each in (("coordinator, stages", mine), ("bare driver, relays", bare_ones)):
        print(
            f"  CPU us a request at c={CONCURRENCY}, {name}: {', '.join(f'{us:.1f}' for us in each.cpu_us)}",
            file=sys.stderr,
        )
    return [
        Row(
            id="P3",
            work="coordinator -> 3 stages -> back, one at a time: p50",
            figure=f"{mine.p50_ms:.3f} ms",
            baseline=f"{bare_ones.p50_ms:.3f} ms (bare pyzmq)",
            ratio=mine.p50_ms / bare_ones.p50_ms,
            goal=f"<= {GOAL_P50_MS} ms",
            met=mine.p50_ms <= GOAL_P50_MS,
        ),
        Row(
            id="P3",
            work=f"coordinator -> 3 stages -> back, c={CONCURRENCY}: rate",
            figure=f"{mine.rate:,.0f} req/s",
            baseline=f"{bare_ones.rate:,.0f} req/s (bare pyzmq)",
            ratio=mine.rate / bare_ones.rate,
            goal=f">= {GOAL_RATE:,} req/s",
            met=mine.rate >= GOAL_RATE,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    profile = cProfile.Profile() if options.profile else None
    for row in rows(options.rounds, profile):
        print(row)
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
