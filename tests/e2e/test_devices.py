"""A stage that asks for devices waits for a node that has them. There are none here: the node is told that it has some,
which is all that the scheduler looks at."""

from collections.abc import Iterator

import pytest
from tests.e2e.cluster import Cluster
from tests.e2e.namespace import eventually
from tests.e2e.pipelines import READY_S, Pipelines, ask, manifest
from tests.e2e.test_trouble import names_it, story

DEVICE = "nvidia.com/gpu"
PLACE = "/status/capacity/nvidia.com~1gpu"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    if cluster.machine is None:
        pytest.skip("tells a node what it does not have: only one of our own")
    name = cluster.machine.layout.node
    yield name
    patch(cluster, name, "remove")


def test_a_stage_is_placed_when_its_devices_are_there(pipelines: Pipelines, cluster: Cluster, node: str) -> None:
    stage = {"name": "compose", "pod": {"resources": {"limits": {DEVICE: "2"}}}}
    name = pipelines.apply(manifest("devices", stages=[stage]))
    eventually(lambda: names_it(pipelines, name, "Unschedulable"), lambda: story(pipelines, name, "it"), READY_S)
    said = str(pipelines.get(name)["status"]["stages"])
    assert f"Insufficient {DEVICE}" in said

    assert patch(cluster, node, "add") == 0
    pipelines.wait(name)

    [pod] = pipelines.pods(name, "compose")
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {DEVICE: "2"}
    with pipelines.namespace.reach(name) as url:
        assert "".join(ask(url, name, "with devices")) == "with devices"


def patch(cluster: Cluster, node: str, verb: str) -> int:
    value = ', "value": "8"' if verb == "add" else ""
    text = f'[{{"op": "{verb}", "path": "{PLACE}"{value}}}]'
    return cluster.kubectl("patch", "node", node, "--subresource=status", "--type=json", f"--patch={text}").returncode
