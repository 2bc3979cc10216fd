"""What the conditions and events of a rollout tell about the revision that serves meanwhile."""

from collections.abc import Iterator

import pytest
from tests.unit.operator.decide.simulator import Behaviour, Simulator
from tests.unit.operator.decide.specs import spec

from omnipipe_operator.observed import Note, Object


@pytest.fixture
def lab() -> Iterator[Simulator]:
    """A pipeline that serves its first revision."""
    one = Simulator(behaviours={"bad": Behaviour(stuck="pull")})
    one.create(spec(0))
    one.settle(12)
    yield one


def messages(lab: Simulator) -> dict[str, str]:
    lab.reconcile()
    conditions: list[Object] = lab.pipeline["status"]["conditions"]
    return {one["type"]: one["message"] for one in conditions}


def test_while_a_new_revision_comes_people_are_told_which_one_serves(lab: Simulator) -> None:
    old = lab.selected
    lab.change(spec(1, image="bad"))
    lab.settle(20)

    assert messages(lab)["Progressing"].endswith(f"; revision {old} serves")


def test_after_the_deadline_they_still_are(lab: Simulator) -> None:
    old = lab.selected
    lab.change(spec(1, image="bad"))
    lab.settle(120)

    found = messages(lab)
    assert "made no progress for 60 s; revision" in found["Progressing"]
    assert found["Progressing"].endswith(f"; revision {old} serves")


def test_a_manifest_that_is_refused_leaves_what_serves_and_says_so(lab: Simulator) -> None:
    lab.change({**spec(1), "stages": [{"name": "nobody"}]})

    assert messages(lab)["Progressing"] == f"nothing is changed; revision {lab.selected} serves"
    assert messages(lab)["Ready"] == f"the manifest cannot be served; revision {lab.selected} serves"


def test_a_first_revision_that_never_served_is_not_said_to_serve() -> None:
    lab = Simulator(behaviours={"bad": Behaviour(stuck="pull")})
    lab.create(spec(0, image="bad"))
    lab.settle(30)

    assert "serves" not in messages(lab)["Progressing"]
    lab.change({**spec(0, image="bad"), "stages": [{"name": "nobody"}]})
    assert messages(lab)["Progressing"] == "nothing is changed"


def test_the_revision_that_serves_is_not_told_beside_itself(lab: Simulator) -> None:
    """A change in place: the target is what serves."""
    lab.change(spec(0, image="newer"))
    lab.reconcile()

    assert "; revision" not in messages(lab)["Progressing"]


def test_the_switch_is_an_event_and_the_first_selection_is_none(lab: Simulator) -> None:
    assert [note for note in lab.notes if note.reason == "Switched"] == []
    old = lab.selected
    lab.notes.clear()

    lab.change(spec(1))
    lab.settle(30)

    told = [note for note in lab.notes if note.reason == "Switched"]
    assert told == [Note("Normal", "Switched", f"the client Service turns from revision {old} to {lab.selected}")]


def test_the_deadline_runs_from_the_new_revisions_own_beginning(lab: Simulator) -> None:
    """The deadline runs from the last thing that came forward, a pod that came to be included."""
    lab.pass_time(1000)
    lab.change(spec(1, image="bad"))
    lab.settle(50)
    assert lab.condition("Progressing")["reason"] == "RollingOut"

    lab.settle(20)
    assert lab.condition("Progressing")["reason"] == "ProgressDeadlineExceeded"
