"""What the operator keeps of a manifest from one look to the next: no more than results, no longer than they hold."""

import pytest
from tests.unit.operator.decide.simulator import Simulator
from tests.unit.operator.decide.specs import spec

from omnipipe.spec.errors import ManifestError
from omnipipe_operator.children import labels
from omnipipe_operator.known import Known
from omnipipe_operator.observed import Object


def pipeline(name: str = "p", generation: int = 1, family: str = "echo") -> Object:
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": name, "namespace": "lab", "uid": f"uid-{name}", "generation": generation},
        "spec": {"model": {"family": family}},
    }


def settled() -> Simulator:
    lab = Simulator()
    lab.create(spec(0))
    lab.settle(30)
    return lab


def test_what_was_worked_out_of_the_same_is_not_worked_out_again() -> None:
    known = Known().manifest(pipeline())
    rendered: list[int] = []

    def render(replicas: int) -> list[Object]:
        rendered.append(replicas)
        return [{"metadata": {"name": "one"}, "spec": {"replicas": replicas}}]

    first = known.objects("cohort", (1,), lambda: render(1))
    assert known.objects("cohort", (1,), lambda: render(1)) == first
    assert rendered == [1]
    assert labels.APPLIED in first[0]["metadata"]["annotations"]
    assert known.objects("cohort", (2,), lambda: render(2)) != first
    assert known.objects("cohort", (1,), lambda: render(1)) == first
    assert rendered == [1, 2, 1]


@pytest.mark.parametrize("change", ["generation", "restart", "keys", "scale"])
def test_a_change_is_seen(change: str) -> None:
    lab = settled()
    before = lab.decide()
    match change:
        case "generation":
            lab.change(spec(1))
        case "restart":
            lab.annotate(labels.RESTART, "now")
        case "keys":
            lab.annotate(labels.ROTATE_KEYS, "now")
        case _:
            lab.scale("compose", 3)
    assert lab.decide().apply != before.apply


def test_what_is_given_out_is_the_callers_own() -> None:
    lab = settled()
    decision = lab.decide()
    for value in decision.apply:
        value["metadata"]["labels"].clear()
    assert all(value["metadata"]["labels"] for value in lab.decide().apply)


def test_one_manifest_is_kept_for_each_pipeline_and_no_more_than_were_allowed() -> None:
    known = Known(most=2)
    first = known.manifest(pipeline("a"))
    assert known.manifest(pipeline("a")) is first
    assert known.manifest(pipeline("a", generation=2)) is not first
    assert len(known) == 1
    for name in "bcd":
        known.manifest(pipeline(name))
    assert len(known) == 2


def test_one_that_is_looked_at_stays_longer_than_one_that_is_not() -> None:
    known = Known(most=2)
    kept = known.manifest(pipeline("a"))
    known.manifest(pipeline("b"))
    known.manifest(pipeline("a"))
    known.manifest(pipeline("c"))
    assert known.manifest(pipeline("a")) is kept


def test_one_that_is_wrong_is_not_kept() -> None:
    known = Known()
    for _ in range(2):
        with pytest.raises(ManifestError, match="no family is called"):
            known.manifest(pipeline(family="nobody"))
    assert len(known) == 0
