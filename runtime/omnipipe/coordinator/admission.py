"""Who may start: a bounded number of requests in flight, a bounded queue in order of arrival behind them. It counts and
orders; when to ask it, and what else a request needs to start, is the dispatcher's business.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Admission"]

T = TypeVar("T")

SMOOTHING = 0.05
"""Weight of the newest service time: the estimate follows the last twenty or so requests."""
RETRY_AFTER_MIN_S = 1.0
"""Clients honour whole seconds; less would come back at once."""
RETRY_AFTER_MAX_S = 60.0


class Admission(Generic[T]):
    def __init__(self, max_in_flight: int, max_queued: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_queued = max_queued
        self._queue: dict[T, None] = {}
        self._service_s = 0.0
        self.in_flight = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def has_slot(self) -> bool:
        return self.in_flight < self._max_in_flight

    def take_slot(self, item: T) -> None:
        """Out of the queue if it was there."""
        self._queue.pop(item, None)
        self.in_flight += 1

    def free_slot(self, service_s: float) -> None:
        """`service_s`: how long the request held it."""
        self.in_flight -= 1
        self._service_s += (service_s - self._service_s) * (SMOOTHING if self._service_s else 1.0)

    def join(self, item: T) -> bool:
        """To the end of the queue; False when that is full."""
        if len(self._queue) >= self._max_queued:
            return False
        self._queue[item] = None
        return True

    def leave(self, item: T) -> None:
        """Out of the queue, wherever in it; nothing when not in it."""
        self._queue.pop(item, None)

    def waiting(self) -> Iterator[T]:
        """In order of arrival. Not to be kept across a `join` or `leave`."""
        return iter(self._queue)

    def retry_after_s(self) -> float:
        """When a slot should be free for somebody who came now, were he at the queue's end."""
        estimate = self._service_s * (len(self._queue) + 1) / self._max_in_flight
        return min(max(estimate, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
