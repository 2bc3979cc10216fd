"""A token bucket for calls to the API server, so that a burst of pipelines leaves other clients their share."""

import asyncio
import time
from collections.abc import Callable

__all__ = ["RateLimit"]


class RateLimit:
    """Those who wait are let go in their order. `per_s` 0: no limit (the server's own fairness is left to do it)."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._next = clock() - (burst / per_s if per_s else 0.0)

    async def wait(self) -> None:
        if not self._per_s:
            return
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)

    def reserve(self) -> float:
        """Takes a token; how long from now it will be there."""
        now = self._clock()
        self._next = max(self._next, now - self._burst / self._per_s) + 1 / self._per_s
        return max(0.0, self._next - now)
