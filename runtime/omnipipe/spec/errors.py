"""Errors of the spec.

SpecError
├── ManifestError    everything that is wrong with a manifest, as findings a person can act on
└── PlanError        a plan file that this version of Omnipipe cannot read
"""

from collections.abc import Sequence
from dataclasses import dataclass

from omnipipe.errors import OmnipipeError

__all__ = ["Finding", "ManifestError", "PathKey", "PlanError", "Problem", "SpecError", "dotted"]

PathKey = tuple[str | int, ...]
"""Where in an object: `("spec", "stages", 2, "replicas")`."""


def dotted(path: PathKey) -> str:
    """As people write it: `spec.stages[2].replicas`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding before anybody knows which file and line it is about; what the rules return."""

    path: PathKey
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and what would be right."""

    path: str
    """`spec.stages[2].replicas`; empty when it is the whole file."""
    line: int | None
    """Counted from 1; None for an object that came from no file."""
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class SpecError(OmnipipeError):
    """The root of the spec's errors."""


class ManifestError(SpecError):
    """A manifest that cannot be served. `str` is one line a finding, in the order of the file."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


class PlanError(SpecError):
    """A plan that cannot be read; the message says which side to upgrade."""
