"""When a process that ended is started again. Decides; starts nothing."""

from dataclasses import dataclass

__all__ = ["Restarts"]

_HOPELESS = (1, 2)
"""The exit codes for a plan, a program, a model or a command line that is wrong: as wrong the next time."""


@dataclass(slots=True)
class Restarts:
    """The history of one process. Times in seconds."""

    first_s: float = 0.1
    """A crash is mostly one request's fault: the next one should not wait."""
    longest_s: float = 5.0
    """A process that cannot start costs a core for its imports; more often helps nobody."""
    well_after_s: float = 10.0
    """Ready for this long: what ended it now is a new trouble, not the old one."""
    start_attempts: int = 5
    """Ends in a row before it was ever ready, after which the pipeline cannot be started at all."""
    ever_ready: bool = False
    failures: int = 0

    def ended(self, ready_s: float | None, code: int) -> float | None:
        """Seconds until the next start, or None to give up. `ready_s`: how long it was ready, None if it never was.
        `code`: what it exited with, negative for a signal."""
        if ready_s is not None:
            self.ever_ready = True
            if ready_s >= self.well_after_s:
                self.failures = 0
        self.failures += 1
        if not self.ever_ready and (self.failures >= self.start_attempts or code in _HOPELESS):
            return None
        return float(min(self.longest_s, self.first_s * 2.0 ** min(self.failures - 1, 16)))
