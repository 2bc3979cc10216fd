"""Which cohort serves, which one comes and which go: one step of a rollout, from what exists alone.

Nothing is remembered here between two steps. A step may be carried out in part: whatever was written, the next one is
decided from what then exists. Two rules hold at any point, if the cohort that serves is to go on serving (`Surge`):
clients are turned to a cohort only when it can serve, and a stage goes only when no gateway that sends to it is left.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from omnipipe_operator.cohorts import LiveCohort, selected_revision
from omnipipe_operator.observed import GatewayReport, Object, Ref, ref_of
from omnipipe_operator.routes import routes_of
from omnipipe_operator.serving import Record, read_record

__all__ = ["Situation", "Step", "advance", "can_serve"]

_ORDER: Final = ("HorizontalPodAutoscaler", "Deployment", "Service", "NetworkPolicy")
"""Of deletions; what is not named comes after these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    target: str
    """Revision of the manifest as it now stands."""
    stages: tuple[str, ...]
    """Of the target."""
    cohorts: Mapping[str, LiveCohort]
    service: Object | None
    """The client Service."""
    reports: tuple[GatewayReport, ...]
    strategy: Literal["Surge", "Recreate"]
    suspended: bool
    settle_s: float
    now: float


@dataclass(frozen=True, slots=True)
class Step:
    serve: str
    """Revision that the client Service shall select."""
    record: Record
    switched_from: str | None
    """Revision that served until this step."""
    present: bool
    """Whether the target's objects may stand: not while another cohort holds the devices that they need."""
    gateway_up: bool
    stages_up: bool
    """Whether the target's stages and gateway shall have replicas."""
    going: tuple[str, ...]
    """Cohorts that are on their way out."""
    delete: tuple[Ref, ...]
    again_after_s: float | None


def advance(at: Situation) -> Step:
    selected, since = _selected(at)
    serve = selected
    target_can = can_serve(at.cohorts.get(at.target), at.stages, at.reports) and not at.suspended
    if serve != at.target and (since is None or target_can):
        serve, since = at.target, at.now if target_can else None
    elif serve == at.target and since is None and _ready(at, at.target):
        since = at.now
    if at.suspended and not _has_gateways(at, serve):
        since = None
    switched = serve != selected
    record = Record(since, _draining(at, serve, selected if switched and _served(at, selected) else None))
    delete: list[Ref] = []
    waits: list[float] = []
    others = [cohort for revision, cohort in at.cohorts.items() if revision != at.target and not cohort.is_gone]
    leaving = [cohort for cohort in others if cohort.revision != serve or at.strategy == "Recreate" or at.suspended]
    for cohort in leaving:
        wait_s = 0.0 if cohort.revision == serve else _settling_s(at, since)
        served = cohort.revision == serve or cohort.revision in (record.draining or ())
        if served and wait_s > 0:
            waits.append(wait_s)
        else:
            delete += _removals(cohort, served=served)
    target = at.cohorts.get(at.target)
    return Step(
        serve=serve,
        record=record,
        switched_from=selected if switched and selected in (record.draining or ()) else None,
        present=at.strategy == "Surge" or not others or (target is not None and bool(target.objects)),
        gateway_up=not at.suspended,
        stages_up=not at.suspended or (target is not None and bool(target.gateway_pods)),
        going=tuple(cohort.revision for cohort in leaving),
        delete=tuple(delete),
        again_after_s=min(waits, default=None),
    )


def can_serve(cohort: LiveCohort | None, stages: Iterable[str], reports: Iterable[GatewayReport]) -> bool:
    """All of it stands, a gateway pod takes connections, and no gateway that answers says otherwise."""
    if cohort is None or cohort.gateway is None or not cohort.has_ready_gateway:
        return False
    if any(stage not in cohort.stages for stage in stages):
        return False
    routes = routes_of(cohort, reports)
    return all(workload.stands for workload in cohort.workloads) and (routes is None or routes.all_ready)


def _selected(at: Situation) -> tuple[str, float | None]:
    """The revision that serves now, and since when. A Service that is gone or selects nothing that exists (somebody's
    hand, or an old cohort that is away) selects what can serve, and the target if nothing can."""
    revision = selected_revision(at.service)
    if revision is not None and revision in at.cohorts and not at.cohorts[revision].is_gone:
        since = read_record(at.service).since
        return revision, since if since is not None or not _ready(at, revision) else at.now
    for candidate in (at.target, *at.cohorts):
        if _ready(at, candidate):
            return candidate, at.now
    return at.target, None


def _ready(at: Situation, revision: str) -> bool:
    cohort = at.cohorts.get(revision)
    return cohort is not None and cohort.has_ready_gateway


def _has_gateways(at: Situation, revision: str) -> bool:
    cohort = at.cohorts.get(revision)
    return cohort is not None and bool(cohort.gateway_pods)


def _served(at: Situation, revision: str) -> bool:
    return read_record(at.service).since is not None or _ready(at, revision)


def _draining(at: Situation, serve: str, turned_from: str | None) -> frozenset[str]:
    """Cohorts that served and are still there."""
    living = {revision for revision, cohort in at.cohorts.items() if not cohort.is_gone}
    known = read_record(at.service).draining
    served = living if known is None else known | ({turned_from} if turned_from else set())
    return frozenset(served & living - {serve})


def _settling_s(at: Situation, since: float | None) -> float:
    """How long the cohort that served before must still be reachable: endpoint changes take a while to arrive."""
    return 0.0 if since is None else min(at.settle_s, since + at.settle_s - at.now)


def _removals(cohort: LiveCohort, *, served: bool) -> Iterator[Ref]:
    """First the gateway, which finishes what it has begun; the rest when none of its pods is left. All at once when no
    client has ever come."""
    gateway = cohort.gateway.live if cohort.gateway else None
    if served and gateway is not None:
        objects: Iterable[Object] = (gateway,)
    elif served and cohort.gateway_pods:
        return
    else:
        objects = sorted(cohort.objects, key=_rank)
    yield from (ref_of(value) for value in objects if not value["metadata"].get("deletionTimestamp"))


def _rank(value: Object) -> tuple[int, str]:
    kind = value["kind"]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), value["metadata"]["name"])
