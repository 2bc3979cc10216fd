"""The operator's heart: from one pipeline as it is seen now to what should be done about it and said of it.

A pure function, but for fresh keys. It remembers no decision: what it decided before it finds in the cluster, as far as
it was carried out. docs/operator.md draws what comes of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe_operator.children import (
    Cohort,
    Owner,
    base_url,
    cohort_plan,
    current_curve_secret,
    draft_problem,
    labels,
    make_cohort,
    new_curve_secret,
    source_problem,
    stamped,
)
from omnipipe_operator.children.labels import Component
from omnipipe_operator.cohorts import LiveCohort, client_service, live_cohorts, selected_revision
from omnipipe_operator.conditions.model import ModelState, model_state
from omnipipe_operator.conditions.reasons import Reason
from omnipipe_operator.conditions.trouble import Trouble, Words
from omnipipe_operator.conditions.view import View
from omnipipe_operator.conflicts import blocked, foreign
from omnipipe_operator.known import Known, KnownManifest
from omnipipe_operator.leftovers import leftovers
from omnipipe_operator.observed import Decision, Object, Observed, ref_of
from omnipipe_operator.replicas import desired_replicas, live_stages
from omnipipe_operator.report import reported
from omnipipe_operator.rollout import Situation, Step, advance
from omnipipe_operator.serving import read_record
from omnipipe_operator.settings import OperatorSettings
from omnipipe_operator.wanted import Wishes, live_job, wanted, wanted_job

__all__ = ["decide"]


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is there, in the terms that deciding uses."""

    observed: Observed
    settings: OperatorSettings
    owner: Owner
    cohorts: dict[str, LiveCohort]
    service: Object | None
    omni_stages: dict[str, Object]

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.observed.pipeline["metadata"].get("annotations") or {}


def decide(observed: Observed, settings: OperatorSettings, known: Known | None = None) -> Decision:
    """`known`: what earlier calls worked out, which saves most of the time and changes nothing."""
    if observed.pipeline["metadata"].get("deletionTimestamp"):
        return Decision(apply=())  # the garbage collector takes all children
    owner = Owner.of(observed.pipeline)
    scene = _Scene(
        observed,
        settings,
        owner,
        live_cohorts(observed, owner),
        client_service(observed, owner),
        live_stages(observed, owner),
    )
    try:
        found = (known if known is not None else Known()).manifest(observed.pipeline)
    except ManifestError as error:
        return _refused(scene, Trouble(Reason.INVALID, str(error)))
    manifest = found.manifest
    problem = source_problem(manifest.pipeline.spec.model, settings) or draft_problem(manifest.pipeline.spec)
    if problem is not None:
        return _refused(scene, Trouble(Reason.NOT_LOADABLE, problem), url=base_url(manifest, owner))
    secret = current_curve_secret(observed.children, owner, scene.annotations.get(labels.ROTATE_KEYS, ""))
    if secret is None:
        return _keys_first(scene, found)
    restart = scene.annotations.get(labels.RESTART, "")
    plan = found.plan((owner, settings, secret), lambda: cohort_plan(manifest, owner, settings, secret))
    cohort = make_cohort(manifest, owner, settings, observed.children, curve_secret=secret, restart=restart, plan=plan)
    return _paused(scene, found, cohort) if manifest.pipeline.spec.paused else _rolled(scene, found, cohort)


def _refused(scene: _Scene, why: Trouble, url: str | None = None) -> Decision:
    """Nothing is touched: what serves goes on serving."""
    status = scene.observed.pipeline.get("status") or {}
    return reported(_view(scene, None, refused=why, url=url or status.get("url")), scene.omni_stages)


def _keys_first(scene: _Scene, known: KnownManifest) -> Decision:
    """A cohort's revision hashes the name of its keys, so there can be no other object before them."""
    paused = known.manifest.pipeline.spec.paused
    rotation = scene.annotations.get(labels.ROTATE_KEYS, "")
    apply = () if paused else (stamped(new_curve_secret(scene.owner, rotation)),)
    return reported(_view(scene, known), scene.omni_stages, apply=apply)


def _paused(scene: _Scene, known: KnownManifest, cohort: Cohort) -> Decision:
    return reported(_view(scene, known, cohort), scene.omni_stages)


def _rolled(scene: _Scene, known: KnownManifest, cohort: Cohort) -> Decision:
    manifest = known.manifest
    spec, observed, owner = manifest.pipeline.spec, scene.observed, scene.owner
    taken = foreign(observed, owner)
    step = advance(
        Situation(
            target=cohort.revision,
            stages=tuple(stage.name for stage in cohort.plan.stages),
            cohorts=scene.cohorts,
            service=scene.service,
            reports=observed.gateways,
            strategy=spec.rollout.strategy,
            suspended=spec.suspend,
            settle_s=scene.settings.settle_s,
            now=observed.now,
        )
    )
    desired = _desired(scene, manifest, cohort)
    wishes = Wishes(known=known, owner=owner, cohort=cohort, desired=desired, step=step)
    found = wanted(wishes, observed, scene.settings, scene.cohorts, scene.omni_stages)
    refs = {ref_of(value) for value in found.apply}
    others = any(not one.is_gone for revision, one in scene.cohorts.items() if revision != cohort.revision)
    rest = leftovers(observed, owner, refs | found.keep, target=cohort.revision, others=others)
    view = _view(scene, known, cohort, step=step, blocked=blocked(observed, refs & taken))
    return reported(
        view,
        scene.omni_stages,
        apply=tuple(value for value in found.apply if ref_of(value) not in taken),
        delete=(*found.replace, *step.delete, *rest),
        switch=(step.switched_from, step.serve) if step.switched_from is not None else None,
        again_after_s=step.again_after_s,
    )


def _desired(scene: _Scene, manifest: ValidatedPipeline, cohort: Cohort) -> dict[str, int]:
    stages = [stage.name for stage in cohort.plan.stages]
    return desired_replicas(manifest.pipeline.spec, stages, scene.omni_stages)


def _view(
    scene: _Scene,
    known: KnownManifest | None,
    cohort: Cohort | None = None,
    *,
    step: Step | None = None,
    refused: Trouble | None = None,
    blocked: Trouble | None = None,
    url: str | None = None,
) -> View:
    """`step`: what is being done about it; None: nothing is."""
    manifest = known.manifest if known is not None else None
    spec = manifest.pipeline.spec if manifest is not None else None
    words = Words(scene.observed.last_log_lines, scene.observed.last_warnings)
    serving = step.serve if step is not None else selected_revision(scene.service)
    current = scene.cohorts.get(serving) if serving is not None else None
    since = step.record.since if step is not None else read_record(scene.service).since
    if manifest is not None and cohort is not None:
        desired = _desired(scene, manifest, cohort)
    else:
        desired = {name: one.desired for name, one in sorted(current.stages.items())} if current is not None else {}
    return View(
        owner=scene.owner,
        pipeline=scene.observed.pipeline,
        cohorts=scene.cohorts,
        desired=desired,
        target=cohort.revision if cohort is not None else None,
        serving=serving,
        has_served=since is not None,
        going=step.going if step is not None else (),
        reports=scene.observed.gateways,
        words=words,
        model=_model(scene, known, cohort, tuple(desired), words),
        blocked=blocked,
        refused=refused,
        suspended=spec is not None and spec.suspend,
        paused=spec is not None and spec.paused,
        deadline_s=spec.rollout.progress_deadline_seconds if spec is not None else 0,
        url=base_url(manifest, scene.owner) if manifest is not None else url,
        now=scene.observed.now,
    )


def _model(
    scene: _Scene, known: KnownManifest | None, cohort: Cohort | None, stages: tuple[str, ...], words: Words
) -> ModelState | None:
    if known is None or cohort is None:
        return None
    job = wanted_job(known, scene.owner, cohort, scene.settings)
    live = None if job is None else live_job(scene.observed, scene.owner, job["metadata"]["name"])
    return model_state(
        known.manifest.pipeline.spec,
        scene.owner,
        stages=stages,
        cohort=scene.cohorts.get(cohort.revision),
        job=live,
        fetch_pods=[pod for pod in scene.observed.pods if labels.component_of(pod) == Component.FETCH],
        named=scene.observed.named,
        words=words,
    )
