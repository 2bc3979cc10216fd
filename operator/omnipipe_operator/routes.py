"""What the gateways of one cohort say about its stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.observed import GatewayReport
from omnipipe_operator.pods import is_leaving, is_ready

__all__ = ["Routes", "routes_of"]


@dataclass(frozen=True, slots=True)
class Routes:
    some_ready: bool
    """A gateway says that every stage is routable."""
    all_ready: bool
    by_stage: Mapping[str, int]
    """Replicas that every gateway can send requests to."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Stages that some gateway cannot reach, in order."""
        return tuple(sorted(stage for stage, count in self.by_stage.items() if count == 0))


def routes_of(cohort: LiveCohort | None, reports: Iterable[GatewayReport]) -> Routes | None:
    """None: no gateway of the cohort answered. Those that clients do not reach, because they begin or end, count only
    when there are no others."""
    if cohort is None:
        return None
    staying = {pod["metadata"]["name"]: is_ready(pod) for pod in cohort.gateway_pods if not is_leaving(pod)}
    heard = [report for report in reports if report.revision == cohort.revision and report.pod in staying]
    heard = [report for report in heard if staying[report.pod]] or heard
    if not heard:
        return None
    ready = [report.ready and not report.draining and _reaches_all(report) for report in heard]
    stages = sorted({stage for report in heard for stage in report.stages})
    counts = {
        stage: min(report.stages[stage].routable if stage in report.stages else 0 for report in heard)
        for stage in stages
    }
    return Routes(any(ready), all(ready), counts)


def _reaches_all(report: GatewayReport) -> bool:
    return all(stage.routable > 0 for stage in report.stages.values())
