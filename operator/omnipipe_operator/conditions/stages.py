"""The stages' rows: how many replicas there should be, are, and can be sent requests; and what each waits for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from omnipipe_operator.children import labels
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.reasons import TROUBLE, Reason
from omnipipe_operator.conditions.trouble import Trouble, trouble_of
from omnipipe_operator.conditions.view import View
from omnipipe_operator.pods import ready_count
from omnipipe_operator.routes import routes_of

__all__ = ["StageRow", "gateway_trouble", "routable_text", "stage_rows", "worst"]

_QUOTA: Final = "exceeded quota"
"""The API server's words; what else it refuses pods for has many."""


@dataclass(frozen=True, slots=True)
class StageRow:
    name: str
    revision: str | None
    desired: int
    ready: int
    routable: int
    updated: int
    trouble: Trouble | None
    """What it waits for, which need not be anything bad."""


def stage_rows(view: View) -> tuple[StageRow, ...]:
    return tuple(_row(view, stage, desired) for stage, desired in view.desired.items())


def routable_text(rows: Iterable[StageRow]) -> str:
    rows = tuple(rows)
    return f"{sum(row.routable > 0 for row in rows)}/{len(rows)}"


def gateway_trouble(view: View) -> Trouble | None:
    """That gateways are not ready as long as a stage is not reachable is no trouble of theirs."""
    found: list[Trouble] = []
    for cohort in _newest_first(view):
        found += _troubles(view, cohort, None)
    return worst(trouble for trouble in found if trouble.reason is not Reason.NOT_READY)


def worst(troubles: Iterable[Trouble | None]) -> Trouble | None:
    """What is wrong before what is merely waited for."""
    return min((trouble for trouble in troubles if trouble is not None), key=_rank, default=None)


def _row(view: View, stage: str, desired: int) -> StageRow:
    here = next((cohort for cohort in _current_first(view) if stage in cohort.stages), None)
    ready = here.ready(stage) if here is not None else 0
    routable = _routable(view, here, stage, ready)
    newest = view.newest.stages.get(stage) if view.newest is not None else None
    return StageRow(
        name=stage,
        revision=here.revision if here is not None else None,
        desired=desired,
        ready=ready,
        routable=routable,
        updated=newest.updated if newest is not None else 0,
        trouble=_stage_trouble(view, stage, desired, ready, routable),
    )


def _routable(view: View, cohort: LiveCohort | None, stage: str, ready: int) -> int:
    """No gateway answers the operator: then a gateway that is Ready said to its kubelet that it reaches every stage."""
    routes = routes_of(cohort, view.reports)
    if routes is not None:
        return min(routes.by_stage.get(stage, 0), 1_000_000)
    return ready if cohort is not None and cohort.has_ready_gateway else 0


def _stage_trouble(view: View, stage: str, desired: int, ready: int, routable: int) -> Trouble | None:
    if view.suspended:
        return None
    found: list[Trouble] = []
    for cohort in _newest_first(view):
        found += _troubles(view, cohort, stage)
    told = worst(found)
    if told is not None:
        return told
    if ready < desired:
        if view.model is not None and not view.model.ready:
            return Trouble(view.model.reason, view.model.message)
        return Trouble(Reason.STARTING, f"{ready} of {desired} replicas are ready")
    if routable == 0:
        return Trouble(Reason.NOT_ROUTABLE, "no gateway can send it requests")
    return None


def _troubles(view: View, cohort: LiveCohort, stage: str | None) -> list[Trouble]:
    """Of a stage, or of the gateway. Pods that ended count while there are too few: they say why."""
    workload = cohort.gateway if stage is None else cohort.stages.get(stage)
    pods = cohort.gateway_pods if stage is None else cohort.stage_pods.get(stage, ())
    if workload is not None and ready_count(pods) < workload.desired:
        pods = (*pods, *(pod for pod in cohort.failed_pods if labels.stage_of(pod) == stage))
    found = [trouble for trouble in (trouble_of(pod, view.words) for pod in pods) if trouble is not None]
    if workload is not None and workload.failure is not None:
        reason = Reason.QUOTA_EXCEEDED if _QUOTA in workload.failure else Reason.POD_REFUSED
        found.append(Trouble(reason, f"no pod can be created: {workload.failure}"))
    return found


def _newest_first(view: View) -> list[LiveCohort]:
    """The cohorts that matter to people: what comes, and what serves."""
    return _existing(view.newest, view.current)


def _current_first(view: View) -> list[LiveCohort]:
    return _existing(view.current, view.newest)


def _existing(*cohorts: LiveCohort | None) -> list[LiveCohort]:
    return list({cohort.revision: cohort for cohort in cohorts if cohort is not None}.values())


def _rank(trouble: Trouble) -> tuple[int, str]:
    place = TROUBLE.index(trouble.reason) if trouble.reason in TROUBLE else len(TROUBLE)
    return (place, trouble.message)
