"""What people are told of a pod that does not work."""

from typing import Any

import pytest
from tests.unit.operator.decide.pods import container, pod

from omnipipe_operator.conditions.trouble import Words, trouble_of

WORDS = Words({"x": "ValueError: no weights in /models"}, {})
RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def unscheduled(reason: str, message: str = "") -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}])


def of(state: dict[str, Any], last: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return pod(containerStatuses=[container(state, last, **more)])


def fetching(state: dict[str, Any], last: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return pod(initContainerStatuses=[container(state, last, name="fetch", **more)])


@pytest.mark.parametrize(
    ("value", "reason", "part"),
    [
        (unscheduled("Unschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."), "Unschedulable",
         "pod x: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        (unscheduled("SchedulingGated"), "SchedulingGated", "gate"),
        (of(waiting("ErrImagePull", "failed to resolve reference")), "ImagePull",
         "pod x, container stage: failed to resolve reference"),
        (of(waiting("ImagePullBackOff", 'Back-off pulling image "a": ErrImagePull: not found')), "ImagePull",
         "stage: not found"),
        (of(waiting("InvalidImageName")), "ImagePull", "InvalidImageName"),
        (of(waiting("CreateContainerConfigError", 'secret "token" not found')), "ContainerConfig",
         'secret "token" not found'),
        (of(waiting("RunContainerError", "exec: no such file")), "CrashLoop", "cannot be started: exec: no such file"),
        (of(waiting("CrashLoopBackOff"), ended(128, "StartError"), restarts=1), "CrashLoop", "cannot be started"),
        (of(waiting("CrashLoopBackOff"), ended(13), restarts=2), "CrashLoop",
         "exited with code 13; it wrote last: ValueError: no weights in /models"),
        (of(waiting("CrashLoopBackOff"), ended(0, "Completed"), restarts=2), "CrashLoop", "exited with code 0"),
        (of(ended(1)), "CrashLoop", "exited with code 1"),
        (of(RUNNING, ended(13), restarts=2, started=False), "CrashLoop", "code 13"),
        (of(RUNNING, ended(13), restarts=2, started=True), "NotReady", "readiness probe"),
        (of(waiting("CrashLoopBackOff"), ended(137, "OOMKilled"), restarts=1), "OOMKilled",
         "more memory than its limit"),
        (of(RUNNING, started=False), "Starting", "pod x is starting"),
        (of(waiting("ContainerCreating")), "Starting", "starting"),
        (fetching(RUNNING), "WaitingForModel", "fetching the model"),
        (fetching(waiting("CrashLoopBackOff"), ended(2), restarts=1), "FetchFailed", "exited with code 2"),
        (pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."), "Evicted",
         "low on resource: memory"),
        (pod(phase="Failed", conditions=[{"type": "DisruptionTarget", "status": "True",
                                          "reason": "PreemptionByScheduler", "message": "for pod y"}]), "Preempted",
         "pod y"),
        (pod(phase="Failed", reason="NodeShutdown"), "PodFailed", "NodeShutdown"),
        (pod(phase="Failed", containerStatuses=[container(ended(3))]), "CrashLoop", "code 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_the_words_of_who_knows(value: dict[str, Any], reason: str, part: str) -> None:
    trouble = trouble_of(value, WORDS)
    assert trouble is not None and trouble.reason == reason
    assert part in trouble.message and "pod x" in trouble.message


@pytest.mark.parametrize(
    ("warning", "reason"),
    [
        ('FailedMount: MountVolume.SetUp failed for volume "api-keys": secret "keys" not found', "VolumeMount"),
        ("FailedCreatePodSandBox: no free addresses", "PodSandbox"),
    ],
)
def test_what_only_an_event_tells_is_told_too(warning: str, reason: str) -> None:
    trouble = trouble_of(of(waiting("ContainerCreating")), Words({}, {"x": warning}))
    assert trouble is not None and trouble.reason == reason and warning in trouble.message


def test_that_preemption_helps_nobody_is_not_told() -> None:
    lacks = "0/1 nodes are available: 1 Insufficient cpu."
    said = (
        "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    trouble = trouble_of(unscheduled("Unschedulable", f"{lacks} {said}"), WORDS)
    assert trouble is not None and trouble.message == f"pod x: {lacks}"


def test_a_pod_that_works_or_goes_has_no_trouble() -> None:
    ready = pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    going = of(waiting("ImagePullBackOff"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert trouble_of(ready, WORDS) is None
    assert trouble_of(going, WORDS) is None


def test_long_words_are_cut() -> None:
    trouble = trouble_of(unscheduled("Unschedulable", "node " * 4000), WORDS)
    assert trouble is not None and len(trouble.message) < 700
