"""The status objects, made and checked with the models that the CRDs come from: nothing is written that the API server
would refuse."""

from collections.abc import Mapping
from typing import Final

from omnipipe.spec.status import OmniStageStatus, PipelineStatus, StageStatus
from omnipipe_operator.children import Owner, labels
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.stages import StageRow, routable_text
from omnipipe_operator.conditions.times import kept_times
from omnipipe_operator.conditions.verdict import Judged
from omnipipe_operator.conditions.view import View
from omnipipe_operator.observed import Object

__all__ = ["pipeline_status", "stage_status"]

_MOST: Final = 1_000_000
_LONGEST: Final = 8000


def pipeline_status(view: View, rows: tuple[StageRow, ...], judged: tuple[Judged, ...]) -> Object:
    serving = view.serving if view.has_served else None
    status = PipelineStatus(
        observed_generation=view.generation,
        conditions=kept_times(judged, view.pipeline, view.now),
        stages=tuple(map(_row, rows)),
        ready_stages=routable_text(rows),
        url=view.url,
        revision=serving,
        update_revision=view.target if view.target != serving else None,
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def stage_status(owner: Owner, stage: str, live: Object, cohorts: Mapping[str, LiveCohort]) -> Object:
    """Of an OmniStage: over all cohorts, as its selector is."""
    pods = [cohort.ready(stage) for cohort in cohorts.values()]
    workloads = [cohort.stages[stage].replicas for cohort in cohorts.values() if stage in cohort.stages]
    status = OmniStageStatus(
        observed_generation=live["metadata"].get("generation"),
        replicas=min(sum(workloads), _MOST),
        ready_replicas=min(sum(pods), _MOST),
        selector=labels.selector_text(owner.name, stage),
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _row(row: StageRow) -> StageStatus:
    trouble = row.trouble
    return StageStatus(
        name=row.name,
        revision=row.revision,
        desired=min(row.desired, _MOST),
        ready=row.ready,
        routable=row.routable,
        updated=min(row.updated, _MOST),
        reason=trouble.reason.value if trouble is not None else None,
        message=trouble.message[:_LONGEST] if trouble is not None else None,
    )
