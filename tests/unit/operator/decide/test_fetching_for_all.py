"""A shared model from beginning to end, through `decide`: its Job, what its pod says, and the stages after it."""

import copy
from typing import Any

from tests.unit.operator.decide.pods import container, pod
from tests.unit.operator.decide.simulator import Simulator

from omnipipe_operator.children import labels
from omnipipe_operator.decide import decide
from omnipipe_operator.observed import Object, Observed

SHARED = {
    "model": {"family": "llm", "source": "hf://owner/model", "cache": {"type": "SharedClaim", "size": "9Gi"}},
}


def waiting() -> Simulator:
    """Its Job is there, and has not ended."""
    lab = Simulator()
    lab.create(SHARED)
    for _ in range(4):
        lab.reconcile()
    return lab


def model_ready(lab: Simulator, *pods: Object) -> tuple[str, str]:
    observed = lab.observe()
    kept: dict[str, Any] = {name: getattr(observed, name) for name in Observed.__dataclass_fields__}
    lab_pods = (*observed.pods, *pods)
    decision = decide(Observed(**{**kept, "pods": lab_pods}), lab.settings)
    assert decision.status is not None
    [found] = [one for one in decision.status["conditions"] if one["type"] == "ModelReady"]
    return found["reason"], found["message"]


def job_of(lab: Simulator) -> Object:
    [job] = [value for ref, value in lab.objects.items() if ref.kind == "Job"]
    return job


def fetching(lab: Simulator, component: str = labels.Component.FETCH) -> Object:
    """The Job's pod, whose image cannot be pulled."""
    value = copy.deepcopy(
        pod(
            "f", containerStatuses=[container({"waiting": {"reason": "ErrImagePull", "message": "gone"}}, name="fetch")]
        )
    )
    value["metadata"]["labels"] = {labels.COMPONENT: component, "job-name": job_of(lab)["metadata"]["name"]}
    return value


def test_the_job_that_fetches_is_named() -> None:
    lab = waiting()
    name = job_of(lab)["metadata"]["name"]

    assert model_ready(lab) == ("WaitingForModel", f"Job {name} is fetching hf://owner/model")
    assert not any(ref.kind == "Deployment" for ref in lab.objects)


def test_its_pods_trouble_is_told_and_that_of_a_pod_that_fetches_nothing_is_not() -> None:
    lab = waiting()

    assert "gone" in model_ready(lab, fetching(lab))[1]
    assert "gone" not in model_ready(lab, fetching(lab, labels.Component.STAGE))[1]


def test_when_it_is_through_the_stages_come() -> None:
    lab = waiting()
    job_of(lab)["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    assert model_ready(lab)[0] == "ModelAvailable"
    lab.reconcile()
    assert any(ref.kind == "Deployment" for ref in lab.objects)
