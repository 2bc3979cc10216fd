"""Everything that a pipeline owns, as rendered, is taken by a real API server, and its pods by the `restricted` Pod
Security Standard."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.cluster.namespace import Namespace, Object, Refused
from tests.unit.operator.children.manifests import ALL_OPTIONS, SETTINGS, validated

from omnipipe_operator.children import (
    FIELD_MANAGER,
    Owner,
    cohort_objects,
    fetch_job,
    held_replicas,
    kept,
    make_cohort,
    new_curve_secret,
    stamped,
    standing_objects,
)
from omnipipe_operator.cluster.access import find_access
from omnipipe_operator.cluster.errors import Conflict
from omnipipe_operator.cluster.kinds import kind_of
from omnipipe_operator.cluster.kube import KubeCluster
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.observed import ref_of
from omnipipe_operator.settings import OperatorSettings

HUB = {"family": "weighty", "source": "hf://owner/model@main"}
SPECS: dict[str, Mapping[str, Any]] = {
    "with everything said": ALL_OPTIONS,
    "with nothing said": {},
    "fetching in each pod": {"model": {**HUB, "cache": {"sizeLimit": "80Gi"}}},
    "on a volume that is there": {"model": {"family": "weighty", "source": "pvc://weights/a/b"}},
}


@pytest.fixture(autouse=True)
def restricted(namespace: Namespace) -> Iterator[None]:
    """The namespace takes restricted pods only, and has what the manifests name."""
    namespace.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "serving"}}
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pipelines"}}
    namespace.apply(listed([{**priority, "value": 1}, {**runtime, "handler": "nvidia"}, account]))
    yield
    namespace.kubectl("delete", "priorityclass/serving", "runtimeclass/nvidia")


def rendered(namespace: Namespace, spec: Mapping[str, Any], settings: OperatorSettings = SETTINGS) -> list[Object]:
    """Everything that the pipeline owns, which is in the cluster itself: the garbage collector looks for it."""
    value = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant"},
        "spec": {"model": {"family": "echo"}, **spec},
    }
    namespace.apply(value)
    owner, pipeline = Owner.of(namespace.get("omni/assistant")), validated(spec)
    secret = new_curve_secret(owner)
    cohort = make_cohort(pipeline, owner, settings, [], curve_secret=secret["metadata"]["name"])
    replicas = dict.fromkeys((stage.name for stage in cohort.plan.stages), 2)
    job = fetch_job(pipeline, owner, cohort, settings)
    return [
        secret,
        *standing_objects(pipeline, owner, serving=cohort.revision, kinds=frozenset()),
        *([] if job is None else [job]),
        *cohort_objects(pipeline, owner, cohort, settings, replicas=replicas, gateway_replicas=2),
    ]


def apply(namespace: Namespace, objects: list[Object]) -> list[Object]:
    """As the operator does it. As they are stored then."""
    text = json.dumps(listed(objects))
    flags = ("--server-side", "--force-conflicts", "--validate=strict", f"--field-manager={FIELD_MANAGER}")
    done = namespace.run("apply", *flags, "--show-managed-fields", "-o", "json", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    stored = json.loads(done.stdout)
    items: list[Object] = stored["items"] if stored["kind"] == "List" else [stored]
    return items


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_object_is_taken_and_stays_as_it_was_said(spec: Mapping[str, Any], namespace: Namespace) -> None:
    objects = [stamped(value) for value in rendered(namespace, spec)]

    stored = apply(namespace, objects)

    for wanted, live in zip(objects, stored, strict=True):
        assert differences(wanted, live) == [], wanted["metadata"]["name"]


def test_what_was_applied_is_not_written_again(namespace: Namespace) -> None:
    def settled(value: Object) -> bool:  # controllers write only into the status of these
        return value["kind"] not in ("Deployment", "Job", "PersistentVolumeClaim", "PodDisruptionBudget")

    objects = [value for value in rendered(namespace, ALL_OPTIONS) if settled(value)]

    first, second = apply(namespace, objects), apply(namespace, objects)

    versions = [[value["metadata"]["resourceVersion"] for value in stored] for stored in (first, second)]
    assert versions[0] == versions[1]


async def test_an_apply_that_only_creates_makes_what_is_owned_as_by_any_other(namespace: Namespace) -> None:
    """No document says that an API server has such a thing. So: of every kind, it creates; what is there it leaves
    alone; and a field that the next apply leaves out goes."""
    access = await find_access(namespace.control_plane.kubeconfig, None)
    async with KubeCluster(access, RateLimit(0, 0)) as cluster:
        for value in rendered(namespace, ALL_OPTIONS):
            kind, head = kind_of(ref_of(value)), value["metadata"]
            first = {
                **value,
                "metadata": {**head, "annotations": {**head.get("annotations", {}), "example.org/x": "1"}},
            }

            made = await cluster.apply(kind, first, new=True)

            managers = [(entry["manager"], entry["operation"]) for entry in made.value["metadata"]["managedFields"]]
            assert made.created
            assert managers == [(FIELD_MANAGER, "Apply")], kind
            with pytest.raises(Conflict):
                await cluster.apply(kind, value, new=True)
            assert (
                "example.org/x" in (await cluster.peek(kind, namespace.name, head["name"]))["metadata"]["annotations"]
            )
            after = await cluster.apply(kind, value)
            assert not after.created
            assert "example.org/x" not in after.value["metadata"].get("annotations", {}), kind


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_its_pods_are_restricted_ones(spec: Mapping[str, Any], namespace: Namespace) -> None:
    templates = [
        value["spec"]["template"] for value in rendered(namespace, spec) if "template" in value.get("spec", {})
    ]
    assert len(templates) >= 6

    try_pods(namespace, templates)


def test_a_folder_of_the_node_needs_a_namespace_that_allows_it(namespace: Namespace) -> None:
    spec = {"model": {"family": "weighty", "source": "file:///data/model"}}
    objects = rendered(namespace, spec)
    template = next(value for value in objects if value["kind"] == "Deployment")["spec"]["template"]

    with pytest.raises(Refused, match="hostPath"):
        try_pods(namespace, [template])

    namespace.kubectl("label", "--overwrite", "ns", namespace.name, "pod-security.kubernetes.io/enforce=privileged")
    try_pods(namespace, [template])


def test_a_kept_deployment_is_scaled_and_nothing_else(namespace: Namespace) -> None:
    objects = rendered(namespace, ALL_OPTIONS)
    deployment = next(value for value in objects if value["kind"] == "Deployment")
    [live] = apply(namespace, [deployment])

    [scaled] = apply(namespace, [kept(live, replicas=5)])

    assert scaled["spec"] == {**live["spec"], "replicas": 5}
    assert scaled["metadata"]["labels"] == live["metadata"]["labels"]
    assert scaled["metadata"]["ownerReferences"] == live["metadata"]["ownerReferences"]


def test_a_stage_whose_replicas_are_given_no_longer_keeps_them(namespace: Namespace) -> None:
    def stage(replicas: int | None, held: Mapping[str, int]) -> Object:
        spec = {"stages": [{"name": "synth", **({} if replicas is None else {"replicas": replicas})}]}
        objects = standing_objects(validated(spec), owner, serving="0a1b2c3d", kinds=frozenset(), held=held)
        [live] = apply(namespace, [o for o in objects if o["metadata"]["name"] == "assistant-synth"][:1])
        return live

    rendered(namespace, {})
    owner = Owner.of(namespace.get("omni/assistant"))
    first = stage(3, {})
    assert held_replicas(first) == 3

    still = stage(None, {"synth": 3})

    assert still["spec"]["replicas"] == 3


def test_a_stage_that_others_scale_is_left_to_them(namespace: Namespace) -> None:
    objects = rendered(namespace, {})
    stage = next(value for value in objects if value["kind"] == "OmniStage")
    [live] = apply(namespace, [stage])
    assert (live["spec"]["replicas"], held_replicas(live)) == (1, None)

    namespace.kubectl("scale", f"omnistage/{stage['metadata']['name']}", "--replicas=4")
    [live] = apply(namespace, [stage])

    assert (live["spec"]["replicas"], held_replicas(live)) == (4, None)


def try_pods(namespace: Namespace, templates: list[Object]) -> None:
    """Raises Refused when the server would not take such a pod."""
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**one["metadata"], "name": f"p{number}"}, "spec": one["spec"]}
        for number, one in enumerate(templates)
    ]
    text = json.dumps(listed(pods))
    namespace.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def listed(objects: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def differences(wanted: Any, live: Any, path: str = "") -> list[str]:
    """Where what is stored is not what was said. What the server adds is no difference."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        pairs = [(f"{path}.{key}", value, live.get(key)) for key, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        pairs = [(f"{path}[{n}]", one, other) for n, (one, other) in enumerate(zip(wanted, live, strict=True))]
    else:
        return [] if wanted == live else [f"{path}: {wanted!r} became {live!r}"]
    return [difference for where, one, other in pairs for difference in differences(one, other, where)]
