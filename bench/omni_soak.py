"""The soak of an omni model: 64 requests of all kinds at once, some of whose clients leave, for minutes.

    python -m bench.omni_soak [--minutes 3] [--seed 7]

Every request must get the answer that it gets alone; afterwards nothing may be running, and no process may hold more
than it did after the warm-up. `tests/integration/families/qwen3_omni` runs the same, shorter, on a random model.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

import httpx
from bench.omni_soak_cases import KINDS, Answer, ask, body, differ, leave
from bench.omni_subject import serve
from bench.soak_server import Holding

__all__ = ["AT_ONCE", "Report", "soak"]

AT_ONCE: Final = 64
_LEAVING: Final = 12 / 64
"""Of all clients."""
_LINES: Final = (0, 1, 4, 20)
"""That those who leave have read."""
_LIMIT_S: Final = 120.0
"""For one request, and for what is left to end."""
_BUSY: Final = ("stage_running", "stage_queued", "stage_orphans", "coordinator_in_flight", "coordinator_queued")
_WARM_S: Final = 30.0
_GROWTH_BYTES: Final = 64 << 20
"""Of one process after the warm-up: oneDNN keeps what it has compiled for each size of a step, half a megabyte a size,
and the encoders meet new ones for minutes (20 MiB in two of them). A leak of 20 kB a request is more."""
_GROWN: Final = 4
"""Descriptors or threads."""


@dataclass
class Report:
    answers: int = 0
    spoken: int = 0
    left: int = 0
    """Clients that did."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


async def soak(url: str, *, requests: int | None = None, seconds: float | None = None, seed: int = 7) -> Report:
    """As many requests as are asked for, or for so long. Raises RuntimeError or httpx.HTTPError when one of those that
    are asked alone, before the load, is not answered."""
    report, dice, limits = Report(), random.Random(seed), httpx.Limits(max_connections=2 * AT_ONCE)
    async with httpx.AsyncClient(base_url=f"{url}/", timeout=_LIMIT_S, limits=limits, trust_env=False) as client:
        alone = [await ask(client, body(number)) for number in range(KINDS)]
        report.problems += [f"request {n} has no text" for n, (text, _) in enumerate(alone) if not text]
        report.problems += [f"request {n}: sound?" for n, (_, sound) in enumerate(alone) if bool(sound) != bool(n % 2)]
        begun = time.monotonic()
        numbers = takewhile(lambda _: seconds is None or time.monotonic() < begun + seconds, _numbers(dice, requests))
        async with asyncio.TaskGroup() as group:
            for worker in range(AT_ONCE):
                group.create_task(_work(client, numbers, alone, random.Random(seed + worker), report))
        report.seconds = time.monotonic() - begun
        await _rest(client, url, report)
        different = differ(await ask(client, body(1)), alone[1])
        report.problems += [f"request 1, afterwards: {different}"] if different else []
    return report


def _numbers(dice: random.Random, requests: int | None) -> Iterator[int]:
    """All kinds equally often, in another order each time."""
    given = 0
    while requests is None or given < requests:
        turn = dice.sample(range(KINDS), KINDS)
        turn = turn if requests is None else turn[: requests - given]
        given += len(turn)
        yield from turn


async def _work(
    client: httpx.AsyncClient, numbers: Iterator[int], alone: Sequence[Answer], dice: random.Random, report: Report
) -> None:
    for number in numbers:
        try:
            if dice.random() < _LEAVING:
                await leave(client, body(number), dice.choice(_LINES))
                report.left += 1
                continue
            different = differ(await ask(client, body(number)), alone[number])
        except (RuntimeError, httpx.HTTPError) as error:
            different = f"{type(error).__name__}: {error}"
        report.answers += 1
        report.spoken += number % 2
        report.problems += [f"request {number}: {different}"] if different else []


async def _rest(client: httpx.AsyncClient, url: str, report: Report) -> None:
    """Until nothing is running."""
    end = time.monotonic() + _LIMIT_S
    starts = tuple(f"omnipipe_{name}{{" for name in _BUSY)
    while True:
        page = (await client.get(url.removesuffix("/v1") + "/metrics")).text
        gauges = [line for line in page.splitlines() if line.startswith(starts)]
        left = [line for line in gauges if float(line.rpartition(" ")[2])]
        if gauges and not left:
            return
        if time.monotonic() > end:
            report.problems.append(f"not at rest: {left or 'no gauges'}")
            return
        await asyncio.sleep(0.05)


def _grown(warm: dict[str, Holding], after: dict[str, Holding]) -> Iterator[str]:
    for name, now in after.items():
        before = warm[name]
        if now.rss - before.rss > _GROWTH_BYTES:
            yield f"{name} has grown by {(now.rss - before.rss) / (1 << 20):.0f} MiB"
        for what in ("descriptors", "threads", "segments"):
            more = getattr(now, what) - getattr(before, what)
            if more > _GROWN:
                yield f"{name} has {more} more {what}"


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as subject:
        warmed = asyncio.run(soak(subject.url, seconds=_WARM_S, seed=options.seed + 1))
        warm = subject.holding()
        report = asyncio.run(soak(subject.url, seconds=60 * options.minutes, seed=options.seed))
        after = subject.holding()
    report.problems += [*warmed.problems, *_grown(warm, after)]
    print(
        f"{report.answers} answers, {report.spoken} of them spoken, and {report.left} clients that left, "
        f"{AT_ONCE} at once for {report.seconds:.0f} s"
    )
    for name, now in after.items():
        before = warm[name]
        threads = f"{before.threads} -> {now.threads} threads, {before.segments} -> {now.segments} segments"
        descriptors = f"{before.descriptors} -> {now.descriptors} descriptors"
        print(f"{name}: {before.rss >> 20} -> {now.rss >> 20} MiB, {descriptors}, {threads}")
    print(*(report.problems or ["no wrong answer, nothing left"]), sep="\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(_main())
