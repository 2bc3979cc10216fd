"""The five conditions. Each is judged by itself: status, reason and a sentence; `kept_times` adds since when."""

from dataclasses import dataclass
from typing import Final, Literal

from omnipipe.spec.status import ConditionType
from omnipipe_operator.conditions.previous import previous
from omnipipe_operator.conditions.reasons import TROUBLE, Reason
from omnipipe_operator.conditions.stages import StageRow, gateway_trouble, worst
from omnipipe_operator.conditions.trouble import Trouble
from omnipipe_operator.conditions.view import View
from omnipipe_operator.routes import routes_of
from omnipipe_operator.workloads import Workload

__all__ = ["Judged", "deadline_at", "judge"]

_ENDPOINTS_S: Final = 2.0
"""Until nodes send a Service's connections to a pod that has become ready; kube-proxy gathers changes for up to 1 s.
Who connects before is refused. A node whose clock is ahead of ours is not waited for."""


@dataclass(frozen=True, slots=True)
class Judged:
    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


def judge(view: View, rows: tuple[StageRow, ...]) -> tuple[Judged, ...]:
    """In the order in which a pipeline comes to be."""
    ready = _ready(view, rows)
    progressing = _progressing(view, rows)
    return (_accepted(view), _model_ready(view), progressing, ready, _degraded(view, rows, progressing, ready))


def deadline_at(view: View) -> float | None:
    """When the rollout will have failed, as far as can be seen; None: nothing is being rolled out."""
    newest = view.newest
    if newest is None or not newest.workloads or view.suspended or view.paused or _is_rolled_out(view):
        return None
    if any(workload.stalled for workload in newest.stages.values()):
        return 0.0
    return newest.progressed_at + view.deadline_s


def _accepted(view: View) -> Judged:
    if view.refused is not None:
        return Judged("Accepted", "False", view.refused.reason, view.refused.message)
    return Judged("Accepted", "True", Reason.VALID, "the manifest is sound")


def _model_ready(view: View) -> Judged:
    if view.model is None:
        reason = view.refused.reason if view.refused is not None else Reason.WAITING_FOR_MODEL
        return Judged("ModelReady", "Unknown", reason, "it is not looked for as long as there is no revision to make")
    return Judged("ModelReady", "True" if view.model.ready else "False", view.model.reason, view.model.message)


def _progressing(view: View, rows: tuple[StageRow, ...]) -> Judged:
    if view.refused is not None:
        return Judged("Progressing", "False", view.refused.reason, _serves_on(view, "nothing is changed"))
    if view.paused:
        return Judged("Progressing", "False", Reason.PAUSED, "spec.paused is set: nothing is changed or repaired")
    if view.suspended:
        return Judged("Progressing", "False", Reason.SUSPENDED, "spec.suspend is set: there shall be no replicas")
    if _is_rolled_out(view):
        return Judged("Progressing", "False", Reason.ROLLED_OUT, f"revision {view.serving} serves")
    deadline = deadline_at(view)
    if deadline is not None and view.now >= deadline:
        words = _serves_on(view, f"revision {view.target} made no progress for {view.deadline_s:g} s")
        return Judged("Progressing", "False", Reason.PROGRESS_DEADLINE_EXCEEDED, words)
    return Judged("Progressing", "True", Reason.ROLLING_OUT, _serves_on(view, _rolling_words(view, rows)))


def _rolling_words(view: View, rows: tuple[StageRow, ...]) -> str:
    if view.target is None:
        return "keys are being made"
    if view.newest is None or not view.newest.workloads:
        if view.model is not None and not view.model.ready:
            return f"revision {view.target} waits for the model"
        if view.going:
            return f"revision {view.target} waits until {', '.join(view.going)} has gone"
        return f"revision {view.target} is being made"
    stand = sum(workload.stands for workload in view.newest.stages.values())
    if view.serving == view.target and view.going and all(workload.is_done for workload in view.newest.workloads):
        return f"revision {view.target} serves; {', '.join(view.going)} finishes its requests"
    return f"{stand} of {len(rows)} stages of revision {view.target} stand"


def _ready(view: View, rows: tuple[StageRow, ...]) -> Judged:
    def no(reason: Reason, message: str) -> Judged:
        return Judged("Ready", "False", reason, message)

    if view.refused is not None:
        return no(view.refused.reason, _serves_on(view, "the manifest cannot be served"))
    if view.suspended:
        return no(Reason.SUSPENDED, "spec.suspend is set")
    current = view.current
    told = worst([view.blocked, *(row.trouble for row in rows), gateway_trouble(view), _lacking(view)])
    if view.target is None or view.serving != view.target:
        if view.paused:
            return no(Reason.PAUSED, _serves_on(view, "spec.paused is set, and the manifest has changed since"))
        if told is not None and told.reason in TROUBLE:
            return no(told.reason, _serves_on(view, told.message))
        if view.model is not None and not view.model.ready:
            return no(view.model.reason, _serves_on(view, view.model.message))
        return no(Reason.ROLLING_OUT, _serves_on(view, _rolling_words(view, rows)))
    routes = routes_of(current, view.reports)
    if current is not None and current.has_ready_gateway and (routes is None or routes.some_ready):
        was_ready = previous(view.pipeline).get("Ready", {}).get("status") == "True"
        if not was_ready and 0.0 <= view.now - current.gateway_ready_at < _ENDPOINTS_S:
            return no(Reason.STARTING, "a gateway is ready; the nodes are being told where it is")
        return Judged("Ready", "True", Reason.ALL_STAGES_ROUTABLE, f"a gateway reaches all {len(rows)} stages")
    if told is not None and told.reason in TROUBLE:
        return no(told.reason, told.message)
    if view.model is not None and not view.model.ready:
        return no(view.model.reason, view.model.message)
    starting = [row.name for row in rows if row.ready == 0]
    if starting:
        told = told or Trouble(Reason.STARTING, "they are starting")
        return no(told.reason, f"no replica is ready of {', '.join(starting)}: {told.message}")
    if routes is not None and routes.missing:
        return no(Reason.NOT_ROUTABLE, f"by a gateway, no replica can be reached of {', '.join(routes.missing)}")
    return no(Reason.NO_GATEWAY, told.message if told is not None else "no gateway is ready")


def _degraded(view: View, rows: tuple[StageRow, ...], progressing: Judged, ready: Judged) -> Judged:
    told = view.blocked
    if not view.suspended:
        told = worst([view.blocked, *(row.trouble for row in rows), gateway_trouble(view), _lacking(view)])
    if told is not None and told.reason in TROUBLE:
        return Judged("Degraded", "True", told.reason, told.message)
    if progressing.reason is Reason.PROGRESS_DEADLINE_EXCEEDED:
        said = f": {told.message}" if told is not None else ""
        return Judged("Degraded", "True", progressing.reason, f"{progressing.message}{said}")
    down = view.has_served and view.serving == view.target and ready.status != "True"
    if down and not view.suspended and view.refused is None:
        return Judged("Degraded", "True", ready.reason, ready.message)
    return Judged("Degraded", "False", Reason.AS_EXPECTED, "nothing is wrong that the operator can see")


def _lacking(view: View) -> Trouble | None:
    """That the model is not there comes before what its pods say about it."""
    if view.model is None or view.model.ready:
        return None
    return Trouble(view.model.reason, view.model.message)


def _is_rolled_out(view: View) -> bool:
    """The manifest's revision serves, no pod of an older template is left, and no other cohort."""
    newest = view.newest
    said = previous(view.pipeline).get("Progressing", {})
    was = said.get("reason") == Reason.ROLLED_OUT and said.get("observedGeneration") == view.generation
    done = newest is not None and newest.gateway is not None and all(_is_done(one, was) for one in newest.workloads)
    missing = newest is None or any(stage not in newest.stages for stage in view.desired)
    return done and not missing and view.serving == view.target and view.has_served and not view.going


def _is_done(workload: Workload, was_rolled_out: bool) -> bool:
    """What was written a moment ago and no controller has seen yet is a new size, if the manifest is still the one that
    was rolled out. (Or a restart, which shows as soon as it has been seen.)"""
    unseen = not workload.current and workload.was_complete and workload.replicas == workload.updated
    return workload.is_done or (was_rolled_out and unseen)


def _serves_on(view: View, words: str) -> str:
    return f"{words}; revision {view.serving} serves" if view.has_served and view.serving != view.target else words
