"""What a real API server refuses of a pipeline's objects is said in the pipeline's own status."""

from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, pipeline
from tests.cluster.operator.children import condition
from tests.cluster.operator.running import Operator

SPEC = {"model": {"family": "echo"}}


def with_container(**fields: object) -> dict[str, object]:
    """The stage compose, with this in a podTemplate."""
    template = {"spec": {"containers": [{"name": "stage", **fields}]}}
    return {**SPEC, "stages": [{"name": "compose", "pod": {"podTemplate": template}}]}


def says(namespace: Namespace, reason: str, words: str) -> None:
    def said() -> bool:
        status, found, message = condition(namespace, "Degraded")
        return (status, found) == ("True", reason) and words in message

    eventually(said, f"Degraded={reason}, {words}")


def test_a_field_of_a_wrong_type_is_named_and_mended(operator: Operator, namespace: Namespace) -> None:
    """The server calls it an error of its own."""
    namespace.apply(pipeline(with_container(livenessProbe={"periodSeconds": False})))
    says(namespace, "ApplyRefused", "livenessProbe.periodSeconds: expected numeric")

    namespace.apply(pipeline(SPEC))
    eventually(lambda: condition(namespace, "Degraded")[0] == "False", "nothing is wrong any more")


def test_a_value_that_cannot_be_is_named(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline(with_container(terminationMessagePolicy="Never")))
    says(namespace, "ApplyRefused", "terminationMessagePolicy")


def test_a_field_that_there_is_not_is_named(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline(with_container(livenessprobe={"periodSeconds": 5})))
    says(namespace, "ApplyRefused", "livenessprobe")


def test_a_runtime_class_that_there_is_not_is_no_quota(operator: Operator, namespace: Namespace) -> None:
    namespace.apply(pipeline({**SPEC, "pod": {"runtimeClassName": "there-is-none"}}))
    says(namespace, "PodRefused", 'RuntimeClass "there-is-none" not found')


def test_a_claim_that_there_is_not_comes_before_what_the_scheduler_says(
    operator: Operator, namespace: Namespace
) -> None:
    namespace.apply(pipeline({"model": {"family": "llm", "source": "pvc://none/model"}}))

    eventually(
        lambda: condition(namespace, "Ready") == ("False", "ClaimMissing", claim_words(namespace)), "Ready names it"
    )


def claim_words(namespace: Namespace) -> str:
    return f"there is no PersistentVolumeClaim none in namespace {namespace.name}"
