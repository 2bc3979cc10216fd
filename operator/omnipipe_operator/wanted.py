"""The objects that should stand after this step, in the order in which they are to be written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from omnipipe_operator.children import (
    Cohort,
    Owner,
    cohort_objects,
    fetch_job,
    kept,
    labels,
    names,
    stamped,
    standing_objects,
)
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.model import is_complete
from omnipipe_operator.known import KnownManifest
from omnipipe_operator.observed import Object, Observed, Ref, ref_of
from omnipipe_operator.replicas import held, marked
from omnipipe_operator.rollout import Step
from omnipipe_operator.serving import recorded
from omnipipe_operator.settings import OperatorSettings

__all__ = ["Wanted", "Wishes", "live_job", "wanted", "wanted_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is wanted of a pipeline, before anybody looks at single objects."""

    known: KnownManifest
    owner: Owner
    cohort: Cohort
    desired: Mapping[str, int]
    """Stage -> replicas."""
    step: Step


@dataclass(frozen=True, slots=True)
class Wanted:
    apply: tuple[Object, ...]
    """Stamped."""
    keep: frozenset[Ref]
    """What is left alone on purpose: neither applied nor deleted."""
    replace: tuple[Ref, ...]
    """Objects that cannot be changed: deleted now, made anew when they have gone."""


def wanted(
    wishes: Wishes,
    observed: Observed,
    settings: OperatorSettings,
    cohorts: Mapping[str, LiveCohort],
    omni_stages: Mapping[str, Object],
) -> Wanted:
    owner, step = wishes.owner, wishes.step
    *objects, service = _standing(wishes, observed.kinds, held(omni_stages))
    fetching = wanted_job(wishes.known, owner, wishes.cohort, settings)
    job = None if fetching is None else live_job(observed, owner, fetching["metadata"]["name"])
    replace: tuple[Ref, ...] = ()
    if fetching is not None and job is None:
        objects.append(fetching)
    elif fetching is not None and job is not None and _is_stale(fetching, job):
        replace = (ref_of(job),)
    if step.present:
        has_model = fetching is None or is_complete(job)
        objects += _of_target(wishes, settings, cohorts.get(wishes.cohort.revision), has_model=has_model)
    objects += map(stamped, _resized(wishes, cohorts, omni_stages))
    objects.append(service)  # last, for it turns clients to what was applied before it
    secret = Ref("v1", "Secret", wishes.cohort.curve_secret)
    kept_refs = {secret, *((ref_of(job),) if job is not None else ())}
    return Wanted(tuple(objects), frozenset(kept_refs), replace)


def wanted_job(known: KnownManifest, owner: Owner, cohort: Cohort, settings: OperatorSettings) -> Object | None:
    def render() -> Iterator[Object]:
        job = fetch_job(known.manifest, owner, cohort, settings)
        if job is not None:
            yield job

    return next(iter(known.objects("job", (owner, cohort, settings), render)), None)


def live_job(observed: Observed, owner: Owner, name: str) -> Object | None:
    for child in observed.children:
        if child["kind"] == "Job" and child["metadata"]["name"] == name and owner.owns(child):
            return child
    return None


def _is_stale(wanted: Object, job: Object) -> bool:
    return not is_complete(job) and labels.template_of(job) != labels.template_of(wanted)


def _standing(wishes: Wishes, kinds: frozenset[str], held: Mapping[str, int]) -> list[Object]:
    """The client Service last."""
    manifest, owner, step = wishes.known.manifest, wishes.owner, wishes.step
    service = Ref("v1", "Service", names.service(owner.name))

    def render() -> Iterator[Object]:
        values = standing_objects(manifest, owner, serving=step.serve, kinds=kinds, held=held)
        yield from (marked(value) for value in values if ref_of(value) != service)
        yield from (recorded(value, step.record) for value in values if ref_of(value) == service)

    arguments = (owner, step.serve, step.record, kinds, tuple(sorted(held.items())))
    return wishes.known.objects("standing", arguments, render)


def _of_target(
    wishes: Wishes, settings: OperatorSettings, live: LiveCohort | None, *, has_model: bool
) -> Iterable[Object]:
    """Pods are not asked for before the shared model is there; those that exist are left as they are."""
    manifest, step = wishes.known.manifest, wishes.step
    replicas = {stage: number if step.stages_up else 0 for stage, number in wishes.desired.items()}
    gateways = manifest.pipeline.spec.gateway.replicas if step.gateway_up else 0
    arguments = (wishes.owner, wishes.cohort, settings, tuple(replicas.items()), gateways)
    objects = wishes.known.objects(
        "cohort",
        arguments,
        lambda: cohort_objects(
            manifest, wishes.owner, wishes.cohort, settings, replicas=replicas, gateway_replicas=gateways
        ),
    )
    standing = {workload.live["metadata"]["name"] for workload in live.workloads} if live is not None else set()
    return (
        value
        for value in objects
        if has_model or value["kind"] != "Deployment" or value["metadata"]["name"] in standing
    )


def _resized(wishes: Wishes, cohorts: Mapping[str, LiveCohort], omni_stages: Mapping[str, Object]) -> Iterator[Object]:
    """The cohort that still serves is scaled as the one that comes is. Its manifest is gone, so it is taken as it
    stands, and only when its numbers differ."""
    step = wishes.step
    serving = cohorts.get(step.serve)
    if serving is None or step.serve == wishes.cohort.revision or step.serve in step.going:
        return
    for stage, workload in serving.stages.items():
        number = wishes.desired.get(stage)
        if number is None and stage in omni_stages:
            number = omni_stages[stage]["spec"].get("replicas")
        if number is not None and number != workload.desired:
            yield kept(workload.live, replicas=number)
