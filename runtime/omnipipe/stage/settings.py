"""What a stage process is told at start, beside the Plan. Parsed once by the command line, then passed down."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["StageSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    listen: str | None = None
    """Address of the stage's socket; None: the Plan's for this replica."""
    admin: str | None = None
    """Where /livez, /readyz and /metrics are: `host:port` or `unix:/path`. None: nowhere."""

    grace_s: float = 30.0
    """On SIGTERM, how long running requests may take to finish."""
    ready_fd: int | None = None
    """One line is written to it when the stage can take requests, then it is closed."""

    curve_dir: Path | None = None
    """Keys for the Plan's `transport.curve`."""
    events_dir: Path | None = None
    """Record the events of requests there. None: record none."""
    events_of_all: bool = True
    """With `events_dir`: of every request, or of those whose `Submit.events` asks for it."""
