"""What is said of a pipeline: its status, its stages' statuses, events, and when to look again without being told."""

from collections.abc import Iterable, Mapping
from typing import Final

from omnipipe_operator.children import names
from omnipipe_operator.conditions.notes import notes_of
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.conditions.stages import StageRow, stage_rows
from omnipipe_operator.conditions.verdict import Judged, deadline_at, judge
from omnipipe_operator.conditions.view import View
from omnipipe_operator.observed import Decision, Object, Ref
from omnipipe_operator.pods import is_leaving
from omnipipe_operator.status import pipeline_status, stage_status

__all__ = ["reported"]

_ASK_AGAIN_S: Final = 2.0
"""Gateways announce nothing: while their word is waited for, they are asked this often."""
_SHORTEST_S: Final = 0.1


def reported(
    view: View,
    omni_stages: Mapping[str, Object],
    *,
    apply: tuple[Object, ...] = (),
    delete: tuple[Ref, ...] = (),
    switch: tuple[str, str] | None = None,
    again_after_s: float | None = None,
) -> Decision:
    rows = stage_rows(view)
    judged = judge(view, rows)
    return Decision(
        apply=apply,
        delete=delete,
        status=pipeline_status(view, rows, judged),
        stage_statuses={
            names.stage(view.owner.name, stage): stage_status(view.owner, stage, live, view.cohorts)
            for stage, live in omni_stages.items()
        },
        notes=notes_of(judged, view.pipeline, switch),
        again_after_s=_soonest(view, rows, judged, again_after_s),
    )


def _soonest(
    view: View, rows: tuple[StageRow, ...], judged: Iterable[Judged], again_after_s: float | None
) -> float | None:
    waits = [] if again_after_s is None else [again_after_s]
    deadline = deadline_at(view)
    if deadline is not None and deadline > view.now:
        waits.append(deadline - view.now)
    if _waits_for_gateways(view, rows, judged):
        waits.append(_ASK_AGAIN_S)
    return max(min(waits), _SHORTEST_S) if waits else None


def _waits_for_gateways(view: View, rows: tuple[StageRow, ...], judged: Iterable[Judged]) -> bool:
    """Some gateway could say soon what it does not say yet."""
    if view.suspended or not any(_may_answer(view)):
        return False
    unsettled = any(row.routable != row.ready for row in rows)
    rolling = any(one.type == "Progressing" and one.reason is Reason.ROLLING_OUT for one in judged)
    not_ready = any(one.type == "Ready" and one.status != "True" for one in judged)
    return unsettled or rolling or not_ready


def _may_answer(view: View) -> Iterable[bool]:
    for cohort in (view.newest, view.current):
        for pod in cohort.gateway_pods if cohort is not None else ():
            yield pod.get("status", {}).get("phase") == "Running" and not is_leaving(pod)
