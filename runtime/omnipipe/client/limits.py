"""How long a call may take, and how much of that is left."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from omnipipe.client.errors import Timeout

__all__ = ["Deadline", "TimeLimits"]


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """In seconds; None: no limit of its own."""

    total: float | None = 600.0
    """From the call to the last byte of its answer, further tries and the pauses before them included. Long enough for
    pictures and minutes of speech on a busy server."""
    connect: float | None = 10.0
    """To open a connection: a server that is up answers within a round trip or two."""
    silence: float | None = None
    """Of a stream: how long nothing may come, before its first piece and between any two."""

    def __post_init__(self) -> None:
        for name in ("total", "connect", "silence"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is a number of seconds above 0, or None for no limit, not {value!r}")


class Deadline:
    """The end of one call's total time."""

    def __init__(self, limits: TimeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._end = None if limits.total is None else clock() + limits.total

    def remaining(self) -> float | None:
        """Seconds, at least 0; None: without end."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def left(self) -> float | None:
        """`remaining`, above 0. Raises Timeout when the time is over."""
        left = self.remaining()
        if left == 0:
            raise self.passed()
        return left

    def allows(self, pause_s: float) -> bool:
        """Whether there is time left after a pause."""
        return self._end is None or self._clock() + pause_s < self._end

    def within(self, limit: float | None) -> float | None:
        """`limit`, or what is left where that is less."""
        left = self.left()
        return left if limit is None else limit if left is None else min(limit, left)

    def passed(self) -> Timeout:
        return Timeout(f"the answer was not whole within {self.limits.total:g} s (total)")
