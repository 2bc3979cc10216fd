"""What a Deployment's status says of it: whether it stands, whether it is through, and since when."""

from typing import Any

import pytest

from omnipipe_operator.cohorts import LiveCohort
from omnipipe_operator.instants import parse_instant
from omnipipe_operator.observed import Object
from omnipipe_operator.workloads import Workload

STATUS = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def deployment(*conditions: Object, desired: int | None = 3, **status: Any) -> Object:
    return {
        "metadata": {"name": "d", "generation": 2, "creationTimestamp": "2030-01-01T00:00:00Z"},
        "spec": {} if desired is None else {"replicas": desired},
        "status": {**STATUS, **status, "conditions": list(conditions)},
    }


def progressing(reason: str, at: str = "2030-01-01T01:00:00Z") -> Object:
    return {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": at}


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),  # it speaks of the template before
        ({"updatedReplicas": 2}, False),
        ({"availableReplicas": 2}, False),
        ({"replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}, True),  # one too many, for a moment
    ],
)
def test_it_stands_with_as_many_of_the_newest_as_there_should_be(status: dict[str, int], stands: bool) -> None:
    assert Workload.of(deployment(**status)).stands is stands


@pytest.mark.parametrize(
    ("status", "complete", "done"),
    [
        ({}, False, True),
        ({"replicas": 4}, False, False),  # an old pod is left
        ({"replicas": 4}, True, False),
        ({"availableReplicas": 2}, False, False),
        ({"availableReplicas": 2}, True, True),  # what is missing now is no rollout's doing
        ({"observedGeneration": 1}, True, False),
    ],
)
def test_it_is_through_when_no_older_pod_is_left(status: dict[str, int], complete: bool, done: bool) -> None:
    reason = "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"

    assert Workload.of(deployment(progressing(reason), **status)).is_done is done


def test_left_out_there_is_to_be_one_and_none_means_none() -> None:
    assert Workload.of(deployment(desired=None)).desired == 1
    assert Workload.of(deployment(desired=0)).desired == 0


def test_a_deployment_that_no_controller_has_seen_has_nothing() -> None:
    found = Workload.of({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 1}})

    assert (found.current, found.replicas, found.updated, found.available) == (False, 0, 0, 0)
    assert (found.stands, found.stalled, found.was_complete, found.failure) == (False, False, False, None)


def test_a_controller_that_gives_up_has_not_come_forward() -> None:
    begun, updated = parse_instant("2030-01-01T00:00:00Z"), parse_instant("2030-01-01T01:00:00Z")

    assert Workload.of(deployment(progressing("ReplicaSetUpdated"))).progressed_at == updated
    stalled = Workload.of(deployment(progressing("ProgressDeadlineExceeded")))
    assert (stalled.stalled, stalled.progressed_at) == (True, begun)


def test_a_failure_counts_while_it_lasts() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}

    assert Workload.of(deployment(failure)).failure == "exceeded quota"
    assert Workload.of(deployment({**failure, "status": "False"})).failure is None


def test_a_cohort_has_come_forward_when_its_latest_pod_came_to_be() -> None:
    one = Workload.of(deployment(progressing("ReplicaSetUpdated")))
    late: Object = {"metadata": {"name": "p", "creationTimestamp": "2030-01-01T02:00:00Z"}}
    early: Object = {"metadata": {"name": "q", "creationTimestamp": "2030-01-01T00:30:00Z"}}

    assert LiveCohort("r").progressed_at == 0.0
    assert LiveCohort("r", stages={"a": one}, gateway_pods=(early,)).progressed_at == one.progressed_at
    for cohort in (
        LiveCohort("r", stages={"a": one}, stage_pods={"a": (early, late)}),
        LiveCohort("r", stages={"a": one}, gateway_pods=(late,)),
    ):
        assert cohort.progressed_at == parse_instant("2030-01-01T02:00:00Z")
