"""Which of many keys is due next.

A heap with lazy deletion: setting and discarding cost O(log n) at most, and the heap is rebuilt before the entries of
keys that are long gone outnumber the live ones, so a million short requests with a deadline ten minutes away do not
leave a million entries behind.
"""

from heapq import heapify, heappop, heappush

__all__ = ["Timers"]

_SLACK = 64
"""Stale entries that are always tolerated, so that small heaps are never rebuilt."""


class Timers:
    """One due time (`time.monotonic()`) a key; setting it again replaces it."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: str, due: float) -> None:
        self._due[key] = due
        heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._rebuild()

    def discard(self, key: str) -> None:
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._rebuild()

    def next_due(self) -> float | None:
        heap, due = self._heap, self._due
        while heap:
            when, key = heap[0]
            if due.get(key) == when:
                return when
            heappop(heap)
        return None

    def pop_due(self, now: float) -> list[str]:
        """The keys whose time has come, soonest first; they are forgotten here."""
        heap, due = self._heap, self._due
        if not heap or heap[0][0] > now:
            return []
        keys = []
        while heap and heap[0][0] <= now:
            when, key = heappop(heap)
            if due.get(key) == when:
                del due[key]
                keys.append(key)
        return keys

    def _rebuild(self) -> None:
        self._heap = [(when, key) for key, when in self._due.items()]
        heapify(self._heap)
