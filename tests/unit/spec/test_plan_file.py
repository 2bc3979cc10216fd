import json

import pytest

from omnipipe.spec.errors import PlanError
from omnipipe.spec.plan import GatewayPlan, Plan, PlanStage


def plan() -> Plan:
    stage = PlanStage(
        name="eye", program="m:C", addresses=("ipc:///x",), needs_input=frozenset({"video", "image", "audio", "depth"})
    )
    return Plan(
        pipeline="a",
        revision="r",
        family="f",
        stages=(stage,),
        edges=(),
        outputs=(),
        gateway=GatewayPlan(served_names=("a",)),
    )


def altered(**changes: object) -> str:
    return json.dumps(json.loads(plan().to_json()) | changes)


def test_a_plan_survives_the_way_through_its_file() -> None:
    assert Plan.from_json(plan().to_json()) == plan()
    assert Plan.from_json(plan().to_json().encode()) == plan()


def test_the_same_plan_is_the_same_bytes_in_every_process() -> None:
    """A set comes out in an order that differs from process to process, unless somebody sorts it."""
    [stage] = json.loads(plan().to_json())["stages"]

    assert stage["needs_input"] == ["audio", "depth", "image", "video"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (altered(version=2), "the plan has version 2, this process reads 1: upgrade this process"),
        (altered(version=0), "the plan has version 0, this process reads 1: upgrade whatever wrote the plan"),
        (altered(version="x"), "the plan has version 'x', this process reads 1: upgrade whatever wrote the plan"),
        (altered(stages=5), "the plan does not fit version 1: stages: Input should be a valid array"),
        (altered(extra=5), "the plan does not fit version 1: extra: Extra inputs are not permitted"),
        ("[]", "the plan is not a JSON object"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan.from_json(text)

    assert str(caught.value) == message


def test_a_torn_file_is_said_in_words() -> None:
    with pytest.raises(PlanError, match=r"^the plan is not JSON: "):
        Plan.from_json(plan().to_json()[:50])
