"""Whatever users, pods and crashes of the operator do, the rules hold at each write, and it ends as it should."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.operator.decide.rules import Rules
from tests.unit.operator.decide.simulator import Behaviour, Simulator
from tests.unit.operator.decide.specs import spec

from omnipipe_operator.children import labels
from omnipipe_operator.decide import decide
from omnipipe_operator.observed import Object, Ref
from omnipipe_operator.serving import DRAINING

IMAGES = {"good": Behaviour(), "slow": Behaviour(ready_after_s=9), "bad": Behaviour(stuck="pull"),
          "crashing": Behaviour(stuck="crash"), "huge": Behaviour(stuck="unschedulable")}  # fmt: skip

changes = st.fixed_dictionaries(
    {"version": st.integers(0, 2)},
    optional={
        "image": st.sampled_from(sorted(IMAGES)),
        "voice": st.booleans(),
        "replicas": st.sampled_from([None, 1, 2]),
        "strategy": st.sampled_from(["Surge", "Surge", "Recreate"]),
        "suspend": st.just(True),
        "paused": st.just(True),
    },
)
actions = st.one_of(
    st.tuples(st.just("change"), changes),
    st.tuples(st.just("change"), changes),
    st.tuples(st.just("time"), st.integers(1, 14)),
    st.tuples(st.just("killed"), st.integers(0, 30)),
    st.tuples(st.just("delete"), st.integers(0, 60)),
    st.tuples(st.just("kill pod"), st.integers(0, 10)),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("restart"), st.sampled_from("xy")),
    st.tuples(st.just("rotate"), st.sampled_from("xy")),
    st.tuples(st.just("answers"), st.booleans()),
)


@pytest.mark.timeout(60)
@settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(actions, min_size=3, max_size=9))
def test_any_history_keeps_the_rules_and_converges(history: list[tuple[str, Any]]) -> None:
    rules = Rules()
    lab = Simulator(behaviours=dict(IMAGES), watch=rules)
    lab.create(spec(0))
    lab.settle(10)
    for name, value in history:
        act(lab, name, value)
        assert_known_changes_nothing(lab)
        lab.reconcile()
        lab.pass_time(1)
        rules.look(lab)
        lab.reconcile()
    heal(lab)
    lab.settle(100, 4)
    assert_settled(lab)


def act(lab: Simulator, name: str, value: Any) -> None:
    match name:
        case "change":
            lab.change(spec(**value))
        case "time":
            for _ in range(value // 2):
                lab.pass_time(2)
                lab.reconcile()
        case "killed":
            lab.reconcile(most_writes=value)
        case "delete":
            refs = sorted(lab.objects)
            lab.remove(refs[value % len(refs)])
        case "kill pod" if lab.pods:
            del lab.pods[sorted(lab.pods)[value % len(lab.pods)]]
        case "scale":
            lab.scale("compose", value)
        case "restart":
            lab.annotate(labels.RESTART, value)
        case "rotate":
            lab.annotate(labels.ROTATE_KEYS, value)
        case "answers":
            lab.answers = value


def assert_known_changes_nothing(lab: Simulator) -> None:
    """What was worked out before never tells: as if nothing had been known. (Keys are fresh each time.)"""
    decision = lab.decide()
    if all(value["kind"] != "Secret" for value in decision.apply):
        assert decision == decide(lab.observe(), lab.settings)


def heal(lab: Simulator) -> None:
    """The user mends the manifest, and every image works again."""
    lab.behaviours = {}
    mended = {name: value for name, value in lab.pipeline["spec"].items() if name not in ("suspend", "paused")}
    lab.change(mended)


def assert_settled(lab: Simulator) -> None:
    decision = lab.decide()
    assert decision.apply and not decision.delete
    assert list(lab.writes_of(decision)) == []
    assert lab.decide() == decision, "the same input gives another answer"
    assert lab.revisions == {lab.selected}
    assert lab.endpoints
    assert lab.condition("Ready")["status"] == "True", lab.pipeline["status"]
    assert lab.condition("Progressing")["reason"] == "RolledOut", lab.pipeline["status"]
    assert lab.condition("Degraded")["status"] == "False", lab.pipeline["status"]
    assert {labels.revision_of(pod) for pod in lab.pods.values()} == {lab.selected}
    service = lab.objects[Ref("v1", "Service", "p")]
    assert labels.annotation_of(service, DRAINING) == ""
    assert kinds_of(lab) == kinds_of(fresh(lab.pipeline))


def fresh(pipeline: Object) -> Simulator:
    """The same pipeline on an empty cluster."""
    lab = Simulator()
    lab.create(pipeline["spec"], dict(pipeline["metadata"]["annotations"]))
    lab.reconcile()
    lab.reconcile()
    return lab


def kinds_of(lab: Simulator) -> Counter[tuple[str, str, str]]:
    """No more and no fewer objects of any kind; their names hold revisions."""
    return Counter(
        (ref.kind, labels.component_of(value) or "", labels.stage_of(value) or "") for ref, value in lab.objects.items()
    )
