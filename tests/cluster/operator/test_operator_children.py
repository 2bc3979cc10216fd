"""A pipeline's children on a real API server: made, kept as they should be, and left alone when they are."""

import json
import time
from functools import partial

import pytest
import yaml
from tests.cluster.audit import Audit
from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, Object, Refused, pipeline
from tests.cluster.operator.children import STAGES, children, condition, stands
from tests.cluster.operator.running import Operator

EDITS: dict[str, Object] = {
    "configmap": {"data": {"plan.json": "{}"}},
    "deployment": {"spec": {"replicas": 7}},
    "networkpolicy": {"spec": {"podSelector": {"matchLabels": {"omnipipe.dev/pipeline": "another"}}}},
    "omnistage": {"metadata": {"labels": {"omnipipe.dev/stage": "another"}}},
    "poddisruptionbudget": {"spec": {"maxUnavailable": 5}},
    "service": {"spec": {"selector": {"omnipipe.dev/revision": "another"}}},
}
OURS = "omnipipe-operator"


def wanted(value: Object) -> Object:
    """What is of interest in an object: not what changes with every write."""
    kept = {name: part for name, part in value.items() if name not in ("metadata", "status")}
    head = {name: part for name, part in value["metadata"].items() if name in ("name", "labels", "annotations")}
    annotations = {key: text for key, text in head.get("annotations", {}).items() if "omnipipe.dev" in key}
    return {**kept, "metadata": {**head, "annotations": annotations}}


def test_exactly_the_children_stand_and_then_nothing_is_written(
    operator: Operator, namespace: Namespace, audit: Audit
) -> None:
    namespace.apply(pipeline())
    stands(namespace)

    names = {(value["kind"], value["metadata"]["name"]) for value in children(namespace)}
    [revision] = {value["metadata"]["labels"].get("omnipipe.dev/revision", "") for value in children(namespace)} - {""}
    for stage in (*STAGES, "gateway"):
        assert ("Deployment", f"assistant-{stage}-{revision}") in names
        assert ("PodDisruptionBudget", f"assistant-{stage}") in names
    assert {("OmniStage", f"assistant-{stage}") for stage in STAGES} <= names
    assert ("Service", "assistant") in names
    uid = namespace.get("omni/assistant")["metadata"]["uid"]
    assert all(value["metadata"]["ownerReferences"][0]["uid"] == uid for value in children(namespace))

    settled(operator, namespace, audit)
    mark, looks = audit.mark(), operator.metric("omnipipe_operator_reconcile_total")
    eventually(lambda: operator.metric("omnipipe_operator_reconcile_total") >= looks + 5, "five resyncs")
    assert [write for write in audit.writes(mark, namespace=namespace.name) if write.agent == OURS] == []


def test_hand_edits_and_deletions_of_every_kind_are_repaired(
    operator: Operator, namespace: Namespace, audit: Audit
) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    settled(operator, namespace, audit)
    before = {value["kind"].lower(): value for value in children(namespace)}

    names = {kind: f"{kind}/{value['metadata']['name']}" for kind, value in before.items()}

    for kind, edit in EDITS.items():
        text = yaml.safe_dump(edit)
        namespace.kubectl("patch", names[kind], "--type=merge", "--patch-file=/dev/stdin", stdin=text)
    for kind in EDITS:
        as_before = partial(is_like, namespace, names[kind], before[kind])
        eventually(as_before, f"{names[kind]} is as it was")

    for kind in EDITS:
        namespace.kubectl("delete", names[kind])
    for kind in EDITS:
        made_again = partial(is_another, namespace, names[kind], before[kind])
        eventually(made_again, f"{names[kind]} was made again")
    stands(namespace)
    assert {value["metadata"]["name"] for value in children(namespace)} >= {
        value["metadata"]["name"] for value in before.values()
    }


def is_like(namespace: Namespace, what: str, before: Object) -> bool:
    return wanted(namespace.get(what)) == wanted(before)


def is_another(namespace: Namespace, what: str, before: Object) -> bool:
    done = namespace.run("get", what, "-o", "json")
    return done.returncode == 0 and json.loads(done.stdout)["metadata"]["uid"] != before["metadata"]["uid"]


def test_keys_cannot_be_edited(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    [name] = [value["metadata"]["name"] for value in children(namespace) if value["kind"] == "Secret"]

    with pytest.raises(Refused, match="immutable"):
        namespace.kubectl("patch", f"secret/{name}", "--type=merge", "-p", '{"data": {"server.key": "eA=="}}')


def test_keys_that_were_deleted_are_new_ones_for_all(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    [old] = [value["metadata"]["name"] for value in children(namespace) if value["kind"] == "Secret"]

    namespace.kubectl("delete", f"secret/{old}")

    def replaced() -> bool:
        return {value["metadata"]["name"] for value in children(namespace) if value["kind"] == "Secret"} not in (
            set(), {old},
        )  # fmt: skip

    eventually(replaced, "there are keys again")
    stands(namespace)


def test_what_others_add_is_theirs(operator: Operator, namespace: Namespace, audit: Audit) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    settled(operator, namespace, audit)
    mark, looks = audit.mark(), operator.metric("omnipipe_operator_reconcile_total")

    namespace.kubectl("label", "service/assistant", "team=blue")
    namespace.kubectl("annotate", "omnistage/assistant-words", "note=mine")

    eventually(lambda: operator.metric("omnipipe_operator_reconcile_total") >= looks + 3, "it was looked at")
    assert [write for write in audit.writes(mark, namespace=namespace.name) if write.agent == OURS] == []
    assert namespace.get("service/assistant")["metadata"]["labels"]["team"] == "blue"


def test_a_stage_is_scaled_by_kubectl(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline())
    stands(namespace)

    namespace.kubectl("scale", "omnistage/assistant-words", "--replicas=3")

    def scaled() -> bool:
        found = namespace.get("deployment", "-l", "omnipipe.dev/stage=words")["items"]
        return [value["spec"]["replicas"] for value in found] == [3]

    eventually(scaled, "its Deployment has three")
    namespace.kubectl("wait", "--for=jsonpath={.status.replicas}=3", "omnistage/assistant-words", "--timeout=100s")
    assert namespace.get("omnistage/assistant-words")["spec"]["replicas"] == 3


def test_a_manifest_that_is_not_valid_is_told_with_its_path(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline({"model": {"family": "ecco"}}))

    eventually(lambda: condition(namespace, "Accepted")[0] == "False", "it is not accepted")

    assert "spec.model.family" in condition(namespace, "Accepted")[2]
    assert children(namespace) == []
    namespace.apply(pipeline())
    stands(namespace)
    assert condition(namespace, "Accepted")[0] == "True"


def test_an_object_of_somebody_else_is_named_and_left_alone(operator: Operator, namespace: Namespace) -> None:
    theirs = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "assistant"},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "theirs"}},
    }  # fmt: skip
    namespace.kubectl("create", "-f", "-", stdin=yaml.safe_dump(theirs))
    version = namespace.get("service/assistant")["metadata"]["resourceVersion"]

    namespace.apply(pipeline())

    eventually(lambda: condition(namespace, "Degraded")[:2] == ("True", "NameConflict"), "the conflict is told")
    assert "Service assistant" in condition(namespace, "Degraded")[2]
    assert namespace.get("service/assistant")["metadata"]["resourceVersion"] == version
    namespace.kubectl("delete", "service/assistant")
    eventually(lambda: condition(namespace, "Degraded")[1] != "NameConflict", "the conflict is over")


def test_with_the_pipeline_everything_goes(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline())
    stands(namespace)

    namespace.kubectl("delete", "omni/assistant")

    eventually(lambda: children(namespace) == [], "the garbage collector took all of it")


def settled(operator: Operator, namespace: Namespace, audit: Audit) -> None:
    """Waits until a while has passed without a write, in which the operator has looked more than once."""

    def now() -> tuple[float, int, float]:
        return time.monotonic(), audit.mark(), operator.metric("omnipipe_operator_reconcile_total")

    quiet_since, mark, looks = now()

    def quiet() -> bool:
        nonlocal quiet_since, mark, looks
        if any(write.namespace == namespace.name for write in audit.writes(mark)):
            quiet_since, mark, looks = now()
        return time.monotonic() - quiet_since > 1.5 and now()[2] >= looks + 2

    eventually(quiet, "nothing is written any more")


@pytest.fixture(autouse=True)
def _no_bugs(operator: Operator) -> object:
    """Whatever a test is about: the operator never met a bug of its own."""
    yield
    assert "this is a bug" not in operator.log.read_text()
