"""What the admission webhook answers."""

from typing import Any

import pytest

from omnipipe_operator.webhook import NotAReview, review


def asked(value: Any, operation: str = "CREATE") -> dict[str, Any]:
    request = {"uid": "u", "operation": operation, "object": value}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def pipeline(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": "assistant", "namespace": "default"},
        "spec": {"model": {"family": "echo"}, **spec},
    }


def test_a_sound_manifest_is_allowed() -> None:
    answer = review(asked(pipeline()))

    assert answer["response"] == {"uid": "u", "allowed": True}
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    answer = review(asked(pipeline(model={"family": "ecco"}, gateway={"maxQueud": 1})))

    message = answer["response"]["status"]["message"]
    assert not answer["response"]["allowed"]
    assert "spec.model.family" in message
    assert '"echo"' in message
    assert "spec.gateway.maxQueud" in message


def test_what_is_going_is_not_held_up() -> None:
    going = pipeline(model={"family": "ecco"})
    going["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"

    assert review(asked(going, "UPDATE"))["response"]["allowed"]
    assert review(asked(None, "DELETE"))["response"]["allowed"]


@pytest.mark.parametrize("body", [{}, [], "x", {"kind": "AdmissionReview"}, asked({}) | {"apiVersion": "v2"}])
def test_what_is_no_review_is_refused(body: Any) -> None:
    with pytest.raises(NotAReview):
        review(body)


@pytest.mark.parametrize("value", [None, "text", []])
def test_a_review_without_an_object_has_nothing_to_refuse(value: Any) -> None:
    """As the API server asks about a kind that has none, such as a scale's or a delete's."""
    assert review(asked(value, "CONNECT"))["response"] == {"uid": "u", "allowed": True}
