"""From pods to `Ready`: what the gateway itself says counts, and a pod's trouble is named."""

from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, pipeline
from tests.cluster.operator.children import STAGES, condition, stands
from tests.cluster.operator.pods import GATEWAY, gateway, make_ready, set_status
from tests.cluster.operator.running import Operator

ADDRESS = "127.0.77.1"


def revision_of(namespace: Namespace) -> str:
    selector = namespace.get("service/assistant")["spec"]["selector"]
    return str(selector["omnipipe.dev/revision"])


def test_ready_is_what_the_gateway_says_not_that_pods_are_up(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    eventually(lambda: len(namespace.get("pods")["items"]) == 6, "the controllers made the pods")
    routable = dict.fromkeys(STAGES, 1)
    routable["words"] = 0

    with gateway(ADDRESS, revision_of(namespace), routable) as asked:
        make_ready(namespace, ADDRESS)
        eventually(lambda: "/health" in asked, "the gateway is asked")
        eventually(lambda: condition(namespace, "Ready")[1] == "NotRoutable", "it is not ready, though all pods are")
        assert "words" in condition(namespace, "Ready")[2]

        routable["words"] = 1
        namespace.kubectl("wait", "--for=condition=Ready", "omni/assistant", "--timeout=100s")

    status = namespace.get("omni/assistant")["status"]
    assert status["readyStages"] == "5/5"
    assert status["revision"] == revision_of(namespace)
    assert status["url"] == f"http://assistant.{namespace.name}.svc/v1"
    assert namespace.get("omnistage/assistant-words")["status"]["readyReplicas"] == 1


def test_a_pod_that_cannot_be_scheduled_is_named_with_the_schedulers_words(
    operator: Operator, namespace: Namespace
) -> None:
    namespace.apply(pipeline())
    stands(namespace)
    eventually(lambda: len(namespace.get("pods", "-l", GATEWAY)["items"]) == 1, "there is a gateway pod")
    name = namespace.get("pods", "-l", GATEWAY)["items"][0]["metadata"]["name"]

    words = "0/1 nodes are available: 1 Insufficient cpu."
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    set_status(namespace, name, {"phase": "Pending", "conditions": [unschedulable]})

    eventually(lambda: words in condition(namespace, "Degraded")[2], "the scheduler's words are in the status")
    assert name in condition(namespace, "Degraded")[2]
