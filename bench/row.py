"""One line of the benchmark table."""

from dataclasses import dataclass

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    id: str
    work: str
    figure: str
    baseline: str
    """Measured in the same run, on the same machine."""
    ratio: float | None
    """Figure by baseline, where that means something."""
    goal: str
    met: bool
