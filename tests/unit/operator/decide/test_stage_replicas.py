"""Who says how many replicas a stage has."""

import pytest
from tests.unit.operator.decide.simulator import Behaviour, Simulator
from tests.unit.operator.decide.specs import spec

from omnipipe_operator.observed import Ref

OMNI = Ref("omnipipe.dev/v1alpha1", "OmniStage", "p-compose")


@pytest.fixture
def lab() -> Simulator:
    one = Simulator(behaviours={"bad": Behaviour(stuck="unschedulable")})
    one.create(spec(0))
    one.settle(10)
    return one


def replicas(lab: Simulator) -> set[int]:
    return {
        value["spec"]["replicas"]
        for ref, value in lab.objects.items()
        if ref.kind == "Deployment" and ref.name.startswith("p-compose-")
    }


def test_left_out_it_is_whatever_the_stage_object_says(lab: Simulator) -> None:
    assert lab.objects[OMNI]["spec"]["replicas"] == 1 and replicas(lab) == {1}
    lab.scale("compose", 3)
    lab.settle(20)
    assert lab.objects[OMNI]["spec"]["replicas"] == 3 and replicas(lab) == {3}
    assert not [note for note in lab.notes if note.reason == "RollingOut"][1:], "another size is no rollout"
    status = lab.objects[OMNI]["status"]
    assert (status["replicas"], status["readyReplicas"]) == (3, 3)
    assert status["selector"].endswith("omnipipe.dev/stage=compose") and "revision" not in status["selector"]


def test_given_it_is_repaired(lab: Simulator) -> None:
    lab.change(spec(0, replicas=2))
    lab.settle(10)
    lab.scale("compose", 5)
    lab.reconcile()
    lab.reconcile()
    assert lab.objects[OMNI]["spec"]["replicas"] == 2 and replicas(lab) == {2}


def test_no_longer_given_it_stays_as_it_is(lab: Simulator) -> None:
    lab.change(spec(0, replicas=3))
    lab.settle(10)
    lab.change(spec(0))
    lab.settle(10)
    assert lab.objects[OMNI]["spec"]["replicas"] == 3 and replicas(lab) == {3}
    lab.scale("compose", 2)
    lab.settle(10)
    assert lab.objects[OMNI]["spec"]["replicas"] == 2 and replicas(lab) == {2}


def test_both_cohorts_are_scaled_in_the_middle_of_a_rollout(lab: Simulator) -> None:
    old = lab.selected
    lab.change(spec(1, image="bad"))
    lab.settle(8)
    lab.scale("compose", 2)
    lab.reconcile()
    numbers = [value["spec"]["replicas"] for ref, value in lab.objects.items() if ref.name.startswith("p-compose-")
               and ref.kind == "Deployment"]  # fmt: skip
    assert numbers == [2, 2] and lab.selected == old
    lab.settle(10)
    assert list(lab.writes_of(lab.decide())) == []
