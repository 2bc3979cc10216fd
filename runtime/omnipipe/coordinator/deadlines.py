"""One heap of points in time for everything that must not wait for ever, so that no request needs a timer or a task of
its own. Pure: the caller brings the clock.

A cancelled entry stays in the heap until it surfaces or until half of the heap is such, so that short requests with
long deadlines do not fill memory.
"""

import heapq
from typing import Generic, TypeVar

__all__ = ["Deadlines", "Entry"]

T = TypeVar("T")

COMPACT_ABOVE = 64
"""Heaps smaller than this are not worth tidying."""

Entry = list[object]
"""`[when, number, item]`; the item is None once cancelled. A list, for heapq compares it in C."""


class Deadlines(Generic[T]):
    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._live = 0
        self._number = 0

    def add(self, when: float, item: T) -> Entry:
        self._number += 1
        entry: Entry = [when, self._number, item]
        heapq.heappush(self._heap, entry)
        self._live += 1
        return entry

    def cancel(self, entry: Entry) -> None:
        """Idempotent."""
        if entry[2] is not None:
            entry[2] = None
            self._live -= 1
            if len(self._heap) > COMPACT_ABOVE and self._live * 2 < len(self._heap):
                self._heap = [e for e in self._heap if e[2] is not None]
                heapq.heapify(self._heap)

    def due(self, now: float) -> list[T]:
        """Takes out whatever is due, earliest first."""
        items: list[T] = []
        while self._heap and (self._heap[0][2] is None or self._heap[0][0] <= now):  # type: ignore[operator]  # a float
            item = heapq.heappop(self._heap)[2]
            if item is not None:
                items.append(item)  # type: ignore[arg-type]  # a T, see `add`
                self._live -= 1
        return items

    def earliest(self) -> float | None:
        """When something may be due next (never too late; too early after a cancel)."""
        return self._heap[0][0] if self._heap else None  # type: ignore[return-value]  # a float

    def __len__(self) -> int:
        return self._live
