"""ModelReady, and the Job that stages wait for. (No family here loads weights, so the fetch is asked for directly.)"""

from typing import Any

import pytest
from tests.unit.operator.decide.pods import container, pod

from omnipipe.spec.cluster_fields import Cache
from omnipipe.spec.manifest import ModelSpec, PipelineSpec
from omnipipe_operator.children import Owner
from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.conditions.model import ModelState, model_state
from omnipipe_operator.conditions.trouble import Words
from omnipipe_operator.observed import Object, Ref

OWNER = Owner("p", "lab", "uid-p")
SHARED = {"type": "SharedClaim", "size": "1Gi"}
EXISTING = {"type": "ExistingClaim", "claimName": "disk"}
CLAIM = {Ref("v1", "PersistentVolumeClaim", "disk"): dict[str, Any]()}


def state(
    source: str | None, cache: dict[str, str] | None = None, drafts: dict[str, str] | None = None, **more: Any
) -> ModelState:
    """`drafts`: of stages, their draft models."""
    model = ModelSpec(family="llm", source=source, cache=Cache.model_validate(cache or {}))
    stages = [{"name": stage, "draft": {"source": draft}} for stage, draft in (drafts or {}).items()]
    spec = PipelineSpec.model_validate({"model": model, "stages": stages})
    given: dict[str, Any] = {"cohort": None, "job": None, "fetch_pods": (), "named": {}, "words": Words({}, {}), **more}
    return model_state(spec, OWNER, stages=("a", "b"), **given)


def job(condition: str | None) -> Object:
    conditions = [] if condition is None else [{"type": condition, "status": "True"}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "p-fetch-1"},
        "status": {"conditions": conditions},
    }


def fetch_pod(value: Object) -> Object:
    value["metadata"]["labels"] = {"job-name": "p-fetch-1"}
    return value


def cohort(**states: dict[str, Any]) -> LiveCohort:
    pods = {stage: (pod(stage, initContainerStatuses=[container(one, name="fetch")]),) for stage, one in states.items()}
    return LiveCohort("r", stage_pods=pods)


DRAFT = {"a": "hf://o/d"}
DONE = {"terminated": {"exitCode": 0}}
BROKEN = pod(
    "f", containerStatuses=[container({"waiting": {"reason": "ErrImagePull", "message": "no image"}}, name="fetch")]
)


@pytest.mark.parametrize(
    ("found", "ready", "reason", "part"),
    [
        (state(None), True, "NoWeightsNeeded", ""),
        (state("builtin://tiny"), True, "NoWeightsNeeded", ""),
        (state("file:///models/a"), True, "ModelAvailable", "file:///models/a"),
        (state("pvc://disk/a"), False, "ClaimMissing", "PersistentVolumeClaim disk"),
        (state("pvc://disk/a", named=CLAIM), True, "ModelAvailable", ""),
        (state("hf://o/m", EXISTING), False, "ClaimMissing", "disk"),
        (state("hf://o/m", EXISTING, named=CLAIM), False, "WaitingForModel", "is being made"),
        (state("hf://o/m", SHARED), False, "WaitingForModel", "is being made"),
        (state("hf://o/m", SHARED, job=job(None)), False, "WaitingForModel", "Job p-fetch-1 is fetching hf://o/m"),
        (state("hf://o/m", SHARED, job=job(None), fetch_pods=[fetch_pod(BROKEN)]), False, "WaitingForModel",
         "no image"),
        (state("hf://o/m", SHARED, job=job("Failed")), False, "FetchFailed", "could not fetch"),
        (state("hf://o/m", SHARED, job=job("Complete")), True, "ModelAvailable", "has fetched"),
        (state("hf://o/m"), False, "WaitingForModel", "not yet there for a, b"),
        (state("hf://o/m", cohort=cohort(a=DONE, b={"running": {}})), False, "WaitingForModel",
         "for b: pod b is fetching"),
        (state("hf://o/m", cohort=cohort(a=DONE, b={"terminated": {"exitCode": 2}})), False, "FetchFailed", "code 2"),
        (state("hf://o/m", cohort=cohort(a=DONE, b=DONE)), True, "ModelAvailable", "every stage"),
        (state("hf://o/m", SHARED, DRAFT, job=job(None)), False, "WaitingForModel",
         "is fetching hf://o/m and the draft model hf://o/d"),
        (state("hf://o/m", SHARED, {"a": "hf://o/d", "b": "hf://o/e"}, job=job("Failed")), False, "FetchFailed",
         "could not fetch hf://o/m and the draft models hf://o/d, hf://o/e"),
        (state("hf://o/m", SHARED, DRAFT, job=job("Complete")), True, "ModelAvailable",
         "has fetched hf://o/m and the draft model hf://o/d"),
        (state("hf://o/m", SHARED, {"a": "builtin://d"}, job=job("Complete")), True, "ModelAvailable",
         "Job p-fetch-1 has fetched hf://o/m"),
        (state("hf://o/m", None, DRAFT), False, "WaitingForModel",
         "hf://o/m and the draft model hf://o/d are not yet there for a, b"),
        (state("hf://o/m", None, DRAFT, cohort=cohort(b=DONE)), False, "WaitingForModel",
         "hf://o/m and the draft model hf://o/d are not yet there for a"),
        (state("hf://o/m", None, DRAFT, cohort=cohort(a=DONE)), False, "WaitingForModel",
         "hf://o/m is not yet there for b"),
    ],
)  # fmt: skip
def test_it_says_what_it_waits_for(found: ModelState, ready: bool, reason: str, part: str) -> None:
    assert (found.ready, found.reason) == (ready, reason)
    assert part in found.message
