"""A pod that cannot be placed, fetched or started is named in the status, and what served before goes on serving."""

import pytest
from tests.e2e.namespace import Object, eventually
from tests.e2e.pipelines import READY_S, Pipelines, ask, manifest

NAMED_S = 60.0
"""From the word of the kubelet or the scheduler to the status."""

CHANGED = {"delay_ms": 5}
"""A change of the graph's parameters: another cohort."""


@pytest.mark.parametrize(
    ("pod", "reason", "word"),
    [
        ({"nodeSelector": {"omnipipe.dev/none": "such"}}, "Unschedulable", "FailedScheduling"),
        ({"image": "localhost/there-is-none:1", "imagePullPolicy": "IfNotPresent"}, "ImagePull", "Failed"),
        (
            {"podTemplate": {"spec": {"containers": [{"name": "stage", "command": ["/no/such/program"]}]}}},
            "CrashLoop",
            "Failed",
        ),
    ],
    ids=["no node", "no image", "no start"],
)
def test_trouble_is_named_while_the_old_cohort_serves(
    pipelines: Pipelines, pod: Object, reason: str, word: str
) -> None:
    name = pipelines.apply(manifest("troubled"))
    pipelines.settled(name)
    serving = pipelines.serving(name)

    pipelines.apply(manifest("troubled", stages=[{"name": "compose", "params": CHANGED, "pod": pod}]))
    eventually(lambda: warned(pipelines, word), f"an event {word}", READY_S)
    eventually(lambda: names_it(pipelines, name, reason), lambda: story(pipelines, name, reason), NAMED_S)

    assert pipelines.serving(name) == serving
    with pipelines.namespace.reach(name) as url:
        assert "".join(ask(url, name, "still here")) == "still here"

    pipelines.apply(manifest("troubled", stages=[{"name": "compose", "params": CHANGED}]))
    eventually(lambda: pipelines.serving(name) != serving, pipelines.namespace.story, READY_S)


def warned(pipelines: Pipelines, reason: str) -> bool:
    events = pipelines.namespace.items("events")
    return any(one["reason"] == reason and one["involvedObject"]["kind"] == "Pod" for one in events)


def names_it(pipelines: Pipelines, name: str, reason: str) -> bool:
    """A condition or a stage's row carries the reason, and names the pod."""
    status = pipelines.get(name).get("status", {})
    said = [*status.get("conditions", []), *status.get("stages", [])]
    return any(one.get("reason") == reason and f"{name}-compose-" in one.get("message", "") for one in said)


def story(pipelines: Pipelines, name: str, reason: str) -> str:
    return f"{reason} is named; the status is {pipelines.get(name).get('status')}\n{pipelines.namespace.story()}"
