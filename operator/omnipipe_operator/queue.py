"""The work queue: which pipelines want a look, and when. Knows nothing of clusters.

Each key is in it once, however often it was added, and is with one worker at a time; added while a worker has it, it
comes again when that one is done. So the queue never holds more than there are pipelines.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["Pace", "WorkQueue"]

K = TypeVar("K")
_FIRST_RETRY_S: Final = 0.005
_LONGEST_RETRY_S: Final = 60.0
_DOUBLINGS: Final = 20
"""More would only make a larger number of the longest delay."""


@dataclass(frozen=True, slots=True)
class Pace:
    gather_s: float = 0.05
    """An event waits this long for those that come with it: a rollout is many changes at once."""
    apart_s: float = 0.5
    """Looks at one pipeline begin at least this far apart, unless it is a retry."""


class WorkQueue(Generic[K]):
    def __init__(self, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace, self._clock = pace or Pace(), clock
        self._due: dict[K, float] = {}
        """When each waiting key is due; the heap may hold older entries for it."""
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._running: dict[K, float | None] = {}
        """Keys that are with a worker -> when they are due again, if they are."""
        self._began: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K, after_s: float | None = None) -> None:
        """None: soon, at the queue's own pace. Of several the earliest counts."""
        now = self._clock()
        if after_s is None:
            due = max(now + self._pace.gather_s, self._began.get(key, 0.0) + self._pace.apart_s)
        else:
            due = now + after_s
        if key in self._running:
            planned = self._running[key]
            self._running[key] = due if planned is None else min(due, planned)
        elif key not in self._due or due < self._due[key]:
            self._schedule(key, due)

    async def take(self) -> K:
        """The next key that is due. `done` gives it back."""
        while True:
            delay = self._until_next()
            if delay is not None and delay <= 0:
                return self._start(heapq.heappop(self._heap)[2])
            self._changed.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def done(self, key: K) -> None:
        again = self._running.pop(key)
        if again is not None:
            self._schedule(key, again)

    def succeeded(self, key: K) -> None:
        self._failures.pop(key, None)

    def failed(self, key: K, at_least_s: float = 0.0) -> float:
        """Plans the next try; in how many seconds."""
        count = self._failures[key] = min(self._failures.get(key, 0) + 1, _DOUBLINGS)
        delay = min(_FIRST_RETRY_S * 2.0 ** (count - 1), _LONGEST_RETRY_S) * random.uniform(0.75, 1.25)
        delay = max(delay, at_least_s)
        self.add(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The pipeline has gone: nothing of it is remembered."""
        self._failures.pop(key, None)
        self._began.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that are due and wait for a worker."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    @property
    def oldest_s(self) -> float:
        """How long the longest waiting of them has been due."""
        return max(0.0, self._clock() - min(self._due.values())) if self._due else 0.0

    def _until_next(self) -> float | None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] - self._clock() if self._heap else None

    def _start(self, key: K) -> K:
        del self._due[key]
        self._running[key] = None
        self._began[key] = self._clock()
        return key

    def _schedule(self, key: K, due: float) -> None:
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        if len(self._heap) > 4 * len(self._due) + 64:  # mostly entries that an earlier one replaced
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        self._changed.set()
