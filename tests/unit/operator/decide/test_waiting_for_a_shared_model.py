"""A shared model is fetched by one Job, before any pod of a new cohort is asked for."""

from typing import Any

from tests.unit.operator.children.manifests import OWNER, SETTINGS, SHARED, cohort_of, job_of, validated

from omnipipe_operator.children import labels
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.known import KnownManifest
from omnipipe_operator.observed import Object, Observed, ref_of
from omnipipe_operator.rollout import Step
from omnipipe_operator.serving import Record
from omnipipe_operator.wanted import Wanted, Wishes, wanted
from omnipipe_operator.workloads import Workload

PIPELINE = validated(SHARED)
COHORT = cohort_of(PIPELINE)
DESIRED = {stage.name: 1 for stage in COHORT.plan.stages}
JOB = job_of(SHARED)


def wish(job: Object | None, *standing: Object) -> Wanted:
    revision = COHORT.revision
    step = Step(
        serve=revision, record=Record(), switched_from=None, present=True, gateway_up=True, stages_up=True, going=(),
        delete=(), again_after_s=None,
    )  # fmt: skip
    observed = Observed(pipeline={}, children=() if job is None else (job,))
    live = LiveCohort(
        revision, objects=standing, stages={labels.stage_of(one) or "": Workload.of(one) for one in standing}
    )
    wishes = Wishes(known=KnownManifest(PIPELINE), owner=OWNER, cohort=COHORT, desired=DESIRED, step=step)
    return wanted(wishes, observed, SETTINGS, {revision: live}, {})


def kinds(found: Wanted) -> set[str]:
    return {value["kind"] for value in found.apply}


def finished(job: Object, condition: str) -> Object:
    return {**job, "status": {"conditions": [{"type": condition, "status": "True"}]}}


def outdated(job: Object) -> Object:
    metadata: dict[str, Any] = {**job["metadata"], "annotations": {labels.TEMPLATE: "another"}}
    return {**job, "metadata": metadata}


def test_before_the_model_is_there_no_pods_are_asked_for() -> None:
    for job in (None, JOB, finished(JOB, "Failed")):
        found = wish(job)
        assert "Deployment" not in kinds(found) and "PersistentVolumeClaim" in kinds(found)
        assert ("Job" in kinds(found)) == (job is None), "a Job's template cannot be applied again"


def test_when_it_is_there_they_are() -> None:
    found = wish(finished(JOB, "Complete"))
    assert "Deployment" in kinds(found) and "Job" not in kinds(found)
    assert ref_of(JOB) in found.keep


def test_pods_that_stand_are_left_though_the_job_is_gone() -> None:
    standing = next(value for value in wish(finished(JOB, "Complete")).apply if value["kind"] == "Deployment")
    found = wish(None, standing)
    assert [value for value in found.apply if value["kind"] == "Deployment"] == [standing]


def test_a_job_that_would_fetch_otherwise_is_made_anew_unless_it_has_finished() -> None:
    assert wish(outdated(JOB)).replace == (ref_of(JOB),)
    assert wish(outdated(finished(JOB, "Complete"))).replace == ()


def test_clients_are_turned_last_of_all() -> None:
    last = wish(finished(JOB, "Complete")).apply[-1]
    assert (last["kind"], last["metadata"]["name"]) == ("Service", OWNER.name)
