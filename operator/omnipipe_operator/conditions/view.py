"""All that the status is made from: what was observed, and what was decided about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from omnipipe_operator.children import Owner
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.model import ModelState
from omnipipe_operator.conditions.trouble import Trouble, Words
from omnipipe_operator.observed import GatewayReport, Object

__all__ = ["View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    owner: Owner
    pipeline: Object
    cohorts: Mapping[str, LiveCohort]
    desired: Mapping[str, int]
    """Stage -> replicas, in the order of the graph."""
    target: str | None
    """Revision of the manifest; None: it has none yet, for it is invalid or its keys are being made."""
    serving: str | None
    has_served: bool
    """Clients have been answered by `serving`."""
    going: tuple[str, ...]
    """Cohorts that are on their way out."""
    reports: tuple[GatewayReport, ...]
    words: Words
    model: ModelState | None
    """None: the manifest cannot be read."""
    blocked: Trouble | None
    """An object that cannot be written."""
    refused: Trouble | None
    """Why the manifest cannot be served."""
    suspended: bool
    paused: bool
    deadline_s: float
    url: str | None
    now: float

    @property
    def newest(self) -> LiveCohort | None:
        return self.cohorts.get(self.target) if self.target else None

    @property
    def current(self) -> LiveCohort | None:
        return self.cohorts.get(self.serving) if self.serving else None

    @property
    def generation(self) -> int:
        return int(self.pipeline["metadata"].get("generation") or 0)
