"""What a person with kubectl gets of our kinds: names, columns, explanations, defaults, subresources."""

import re
from pathlib import Path

import pytest
import yaml
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, Object, Refused, pipeline

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.cluster_fields import Rollout
from omnipipe.spec.cluster_only import given_for_clusters
from omnipipe.spec.manifest import GatewaySpec, TransportSpec
from omnipipe.spec.reader import read_object, read_pipelines

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
READY = {
    "type": "Ready",
    "status": "False",
    "reason": "NotRoutable",
    "message": "stage words: no gateway sees it",
    "lastTransitionTime": "2030-01-02T03:04:05Z",
    "observedGeneration": 1,
}
STATUS: Object = {
    "observedGeneration": 1,
    "conditions": [READY],
    "stages": [{"name": "words", "revision": "6f2c1a90", "desired": 2, "ready": 2, "routable": 1, "updated": 2}],
    "readyStages": "4/5",
    "url": "http://assistant.default.svc/v1",
    "revision": "6f2c1a90",
}


def stage_object(stage: str = "synth", **spec: object) -> Object:
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniStage",
        "metadata": {"name": f"assistant-{stage}"},
        "spec": {"pipeline": "assistant", "stage": stage, **spec},
    }


def test_both_kinds_stand_without_complaint(control_plane: ControlPlane) -> None:
    done = control_plane.kubectl("get", "crd", "omnipipelines.omnipipe.dev", "omnistages.omnipipe.dev", "-o", "json")
    for crd in yaml.safe_load(done.stdout)["items"]:
        conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_taken_as_it_stands_and_means_the_same_when_read_back(file: Path, namespace: Namespace) -> None:
    written = read_pipelines(file.read_bytes(), file.name, find_family, family_names())

    namespace.apply(file)

    for one in written:
        stored = read_object(namespace.get(f"omnipipeline/{one.pipeline.name}"), find_family, family_names())
        assert stored.pipeline.spec == one.pipeline.spec


def test_what_kubectl_applies_without_the_server_is_read_back_too(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", EXAMPLES[0])  # leaves an annotation with the whole of the file

    for stored in namespace.get("omnipipelines")["items"]:
        read_object(stored, find_family, family_names())


def test_defaults_are_filled_in(namespace: Namespace) -> None:
    namespace.apply(pipeline({"stages": [{"name": "synth"}]}))

    spec = namespace.get("omni/assistant")["spec"]

    assert spec["transport"] == TransportSpec().model_dump(by_alias=True)
    filled = GatewaySpec().model_dump(by_alias=True, exclude_none=True, exclude={"pod", "service"})
    filled["media"] = {key: value for key, value in filled["media"].items() if value != ()}  # nothing is an empty list
    assert spec["gateway"] == {key: value for key, value in filled.items() if not key.endswith("Seconds")}
    assert spec["stages"] == [{"name": "synth", "maxRunning": 256}]
    assert spec["rollout"] == Rollout().model_dump(by_alias=True)


def test_what_is_off_by_default_is_not_there(namespace: Namespace) -> None:
    namespace.apply(pipeline())

    spec = namespace.get("omni/assistant")["spec"]

    assert spec.keys() == {"model", "gateway", "transport", "rollout", "networkPolicy", "disruptionBudget"}
    assert spec["model"] == {"family": "echo"}
    assert (
        given_for_clusters(read_object(namespace.get("omni/assistant"), find_family, family_names()).pipeline.spec)
        == ()
    )


def test_no_default_contradicts_what_was_written(namespace: Namespace) -> None:
    """30 s in the queue is the default, and a request of 20 s cannot wait that long."""
    namespace.apply(pipeline({"gateway": {"requestTimeoutSeconds": 20}}))

    stored = read_object(namespace.get("omni/assistant"), find_family, family_names())

    assert stored.pipeline.spec.gateway.request_timeout_seconds == 20


@pytest.mark.parametrize("name", ["omni", "omnipipeline", "omnipipelines", "omnipipelines.omnipipe.dev", "all"])
def test_a_pipeline_goes_by_all_its_names(name: str, namespace: Namespace) -> None:
    namespace.apply(pipeline())

    assert "omnipipeline.omnipipe.dev/assistant" in namespace.kubectl("get", name, "-o", "name").split()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("omnipipeline", "A model served as a pipeline of stages"),
        ("omnipipeline.spec.stages", "Overrides of the family's stages, by name"),
        ("omnipipeline.spec.stages.pod.podTemplate.spec", "merged over the operator's"),
        ("omnipipeline.spec.gateway.service.type", "ClusterIP if left out"),
        ("omnipipeline.spec.edges.windowChunks", "before the producing request pauses"),
        ("omnipipeline.status.conditions", "a gateway reports every stage routable"),
        ("omnistage.spec.replicas", "`kubectl scale` and autoscalers set it"),
    ],
)
def test_kubectl_explains_every_field(path: str, words: str, namespace: Namespace) -> None:
    def explained() -> bool:  # the server publishes the schema some time after it serves the kind
        return words in " ".join(namespace.run("explain", path).stdout.split())

    eventually(explained, f"kubectl explain {path} says: {words}")


def test_columns_show_what_the_status_says(namespace: Namespace) -> None:
    namespace.apply(pipeline())
    write_status(namespace, "omnipipeline/assistant", STATUS)

    heading, row = (line.split() for line in namespace.kubectl("get", "omni").splitlines())

    assert heading == ["NAME", "READY", "REASON", "STAGES", "REVISION", "URL", "AGE"]
    assert row[:-1] == ["assistant", "False", "NotRoutable", "4/5", "6f2c1a90", "http://assistant.default.svc/v1"]
    assert re.fullmatch(r"\d+s", row[-1])

    wide, more = namespace.kubectl("get", "omni", "-o", "wide").splitlines()
    assert wide.split()[7:] == ["FAMILY", "MESSAGE"]
    assert more.split(maxsplit=7)[7].split(maxsplit=1) == ["echo", READY["message"]]


def test_the_status_is_written_apart_from_the_spec(namespace: Namespace) -> None:
    namespace.apply({**pipeline(), "status": STATUS})
    assert "status" not in namespace.get("omni/assistant")

    write_status(namespace, "omnipipeline/assistant", STATUS)
    namespace.apply(pipeline({"gateway": {"maxQueued": 8}}))

    stored = namespace.get("omni/assistant")
    assert stored["status"] == STATUS
    assert stored["metadata"]["generation"] == 2
    namespace.kubectl("wait", "--for=jsonpath={.status.readyStages}=4/5", "omni/assistant", "--timeout=100s")
    read_object(stored, find_family, family_names())


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"conditions": [{**READY, "type": "Splendid"}]}, "status.conditions[0].type"),
        ({"conditions": [{**READY, "status": "Perhaps"}]}, "status.conditions[0].status"),
        ({"conditions": [{**READY, "lastTransitionTime": "yesterday"}]}, "status.conditions[0].lastTransitionTime"),
        ({"stages": [{"name": "words", "ready": -1}]}, "status.stages[0].ready"),
    ],
)
def test_a_status_that_says_nothing_is_refused(wrong: Object, path: str, namespace: Namespace) -> None:
    namespace.apply(pipeline())

    with pytest.raises(Refused, match=re.escape(path)):
        write_status(namespace, "omnipipeline/assistant", wrong)


def test_a_stage_is_scaled(namespace: Namespace) -> None:
    namespace.apply(stage_object())
    assert namespace.get("omnistage/assistant-synth")["spec"]["replicas"] == 1
    status = {"replicas": 2, "readyReplicas": 2, "selector": "omnipipe.dev/stage=synth"}
    write_status(namespace, "omnistage/assistant-synth", status)

    namespace.kubectl("scale", "omnistage/assistant-synth", "--replicas=3")

    scale = namespace.get("omnistage/assistant-synth", "--subresource=scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "omnipipe.dev/stage=synth"}
    stored = namespace.get("omnistage/assistant-synth")
    assert (stored["spec"]["replicas"], stored["status"]) == (3, status)


@pytest.mark.parametrize("replicas", [0, 1001])
def test_a_stage_is_scaled_within_its_bounds(replicas: int, namespace: Namespace) -> None:
    namespace.apply(stage_object())

    with pytest.raises(Refused, match=re.escape("spec.replicas")):
        namespace.kubectl("scale", "omnistage/assistant-synth", f"--replicas={replicas}")


def test_a_stage_object_stays_what_it_is(namespace: Namespace) -> None:
    namespace.apply(stage_object())

    with pytest.raises(Refused, match=r"spec\.stage.*cannot be changed"):
        namespace.kubectl("patch", "omnistage/assistant-synth", "--type=merge", "-p", '{"spec": {"stage": "words"}}')
    with pytest.raises(Refused, match=r"must be <spec\.pipeline>-<spec\.stage>"):
        namespace.apply({**stage_object(), "metadata": {"name": "something-else"}})


def write_status(namespace: Namespace, what: str, status: Object) -> None:
    patch = yaml.safe_dump({"status": status})
    namespace.kubectl("patch", what, "--subresource=status", "--type=merge", "--patch-file=/dev/stdin", stdin=patch)


def test_the_order_of_a_list_is_the_one_applied_last(namespace: Namespace) -> None:
    """Answers carry the first of the served names."""
    for names in (["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]):
        outputs = [{"name": name, "stage": "out"} for name in names]
        graph = {"stages": [{"name": "in"}, {"name": "out"}], "edges": [{"from": "in", "to": "out"}]}
        namespace.apply(pipeline({**graph, "outputs": outputs, "gateway": {"servedModelNames": names}}))

        spec = namespace.get("omni/assistant")["spec"]
        assert (spec["gateway"]["servedModelNames"], spec["outputs"]) == (names, outputs)
