"""A pipeline is changed while clients stream from it all the time: none of them notices."""

import pytest
from tests.e2e.cluster import Cluster, Images
from tests.e2e.load import Load
from tests.e2e.namespace import Object, eventually
from tests.e2e.pipelines import READY_S, Pipelines, manifest

SETTLED_S = 240.0
"""A change under load, with the old pods' streams finished and the pods gone."""
TRAFFIC_S = 60.0


def test_scaling_up_and_down(pipelines: Pipelines) -> None:
    name = pipelines.apply(manifest("scaled"))
    pipelines.wait(name)

    with pipelines.namespace.reach(name) as url, Load(url, name) as load:
        load.goes_on(8)
        scale(pipelines, name, "compose", 3)
        eventually(lambda: ready_pods(pipelines, name, "compose") == 3, pipelines.namespace.story, READY_S)
        new = [pod["metadata"]["name"] for pod in pipelines.pods(name, "compose")]
        eventually(lambda: all(has_worked(pipelines, pod) for pod in new), "a new replica gets traffic", TRAFFIC_S)
        load.goes_on(8)
        scale(pipelines, name, "compose", 1)
        eventually(lambda: len(pipelines.pods(name, "compose")) == 1, pipelines.namespace.story, SETTLED_S)
        load.goes_on(8)


def test_a_stages_image_rolls_in_place(pipelines: Pipelines, images: Images, cluster: Cluster) -> None:
    if cluster.machine is None:
        pytest.skip("needs a second name of one image on the nodes, which only a cluster of our own can be given")
    other = f"{images.stage}-again"
    cluster.machine.name_again(images.stage, other)
    name = pipelines.apply(manifest("rolled"))
    pipelines.settled(name)
    revision = pipelines.serving(name)
    before = uids(pipelines, name)

    with pipelines.namespace.reach(name) as url, Load(url, name) as load:
        load.goes_on(8)
        stage = {"name": "compose", "params": {"delay_ms": 20}, "pod": {"image": other}}
        pipelines.apply(manifest("rolled", stages=[stage]))
        eventually(lambda: images_of(pipelines, name, "compose") == {other}, pipelines.namespace.story, SETTLED_S)
        load.goes_on(8)

    assert pipelines.serving(name) == revision
    assert len(before - uids(pipelines, name)) == 1, "only the changed stage rolls"


def test_a_cohort_changes(pipelines: Pipelines, cluster: Cluster) -> None:
    if cluster.machine is None:
        pytest.skip("needs the Service's own address: a port-forward stays with the pod of the old cohort")
    name = pipelines.apply(manifest("changed"))
    pipelines.settled(name)
    old, before = pipelines.serving(name), uids(pipelines, name)

    with pipelines.namespace.reach(name) as url, Load(url, name) as load:
        load.goes_on(8)
        pipelines.apply(manifest("changed", stages=[{"name": "compose", "params": {"delay_ms": 10}}]))
        eventually(lambda: pipelines.serving(name) != old, pipelines.namespace.story, SETTLED_S)
        eventually(lambda: not before & uids(pipelines, name), pipelines.namespace.story, SETTLED_S)
        load.goes_on(8)

    pipelines.settled(name)
    eventually(lambda: not pipelines_of(pipelines, name, old), "nothing of the old cohort is left", READY_S)


def scale(pipelines: Pipelines, name: str, stage: str, replicas: int) -> None:
    pipelines.namespace.kubectl("scale", f"omnistage/{name}-{stage}", f"--replicas={replicas}")


def ready_pods(pipelines: Pipelines, name: str, stage: str) -> int:
    return sum(is_ready(pod) for pod in pipelines.pods(name, stage))


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def has_worked(pipelines: Pipelines, pod: str) -> bool:
    """By its own metrics, which the API server fetches from it."""
    raw = f"/api/v1/namespaces/{pipelines.namespace.name}/pods/{pod}:9000/proxy/metrics"
    done = pipelines.namespace.cluster.kubectl("get", f"--raw={raw}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("omnipipe_stage_requests_total")]
    return any(float(line.rpartition(" ")[2]) > 0 for line in lines)


def images_of(pipelines: Pipelines, name: str, stage: str) -> set[str]:
    """Of all its pods, once every one of them is ready and none is going."""
    pods = pipelines.pods(name, stage)
    if not all(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods):
        return set()
    return {pod["spec"]["containers"][0]["image"] for pod in pods}


def uids(pipelines: Pipelines, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pipelines.pods(name)}


def pipelines_of(pipelines: Pipelines, name: str, revision: str) -> list[Object]:
    selector = f"omnipipe.dev/pipeline={name},omnipipe.dev/revision={revision}"
    return pipelines.namespace.items("deployments,services,configmaps,pods", selector)
