"""Rollouts as a user meets them, one by one."""

from collections.abc import Iterator

import pytest
from tests.unit.operator.decide.rules import Rules
from tests.unit.operator.decide.simulator import Behaviour, Simulator, is_ready_pod
from tests.unit.operator.decide.specs import spec

from omnipipe_operator.children import labels
from omnipipe_operator.observed import Ref

BAD = {"bad": Behaviour(stuck="pull")}


@pytest.fixture
def lab() -> Iterator[Simulator]:
    """A pipeline that serves its first revision."""
    rules = Rules()
    one = Simulator(behaviours=dict(BAD), watch=rules)
    one.create(spec(0))
    one.settle(12)
    assert one.endpoints
    yield one


def served_by(lab: Simulator) -> str:
    assert lab.selected is not None and lab.endpoints, "nothing serves"
    return lab.selected


def newest(lab: Simulator) -> str:
    return str(lab.pipeline["status"]["updateRevision"])


def until_switched(lab: Simulator, old: str) -> None:
    for _ in range(20):
        lab.reconcile()
        if lab.selected != old:
            return
        lab.pass_time(1)
    raise AssertionError("never switched")


def test_the_first_cohort_is_selected_before_it_can_serve() -> None:
    lab = Simulator()
    lab.create(spec(0))
    for _ in range(3):
        lab.reconcile()
    assert lab.selected in lab.revisions
    assert "revision" not in lab.pipeline["status"]
    assert lab.condition("Ready")["status"] == "False"


def test_clients_are_turned_only_when_the_new_cohort_can_serve(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1))
    lab.reconcile()
    assert lab.revisions == {old, newest(lab)} and lab.selected == old
    assert lab.condition("Ready")["reason"] == "RollingOut"
    until_switched(lab, old)
    assert lab.selected != old and lab.endpoints
    assert lab.condition("Ready")["status"] == "True"
    assert any(note.reason == "Switched" for note in lab.notes)


def test_a_cohort_with_too_few_replicas_is_not_switched_to(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1, replicas=2))
    lab.reconcile()
    lab.pass_time(1)
    lab.reconcile()
    late = next(pod for name, pod in sorted(lab.pods.items()) if name.startswith(f"p-compose-{newest(lab)}"))
    late["x-born"] += 20
    lab.settle(10)
    assert [pod for pod in lab.gateway_pods(newest(lab)) if is_ready_pod(pod)], "by its gateway it could serve"
    assert lab.selected == old
    lab.settle(20)
    assert served_by(lab) != old


def test_a_cohort_without_one_of_its_stages_is_not_switched_to(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1))
    lab.reconcile()
    lab.pass_time(1)
    lab.pass_time(1)
    lab.pass_time(1)
    lab.remove(Ref("apps/v1", "Deployment", f"p-compose-{newest(lab)}"))
    lab.reconcile()
    assert served_by(lab) == old


def test_the_old_gateway_stays_while_endpoints_spread_and_its_stages_until_it_has_gone(lab: Simulator) -> None:
    old = served_by(lab)
    lab.drain_s = 30
    lab.change(spec(1))
    until_switched(lab, old)
    decision = lab.decide()
    assert decision.again_after_s is not None and decision.again_after_s <= lab.settings.settle_s
    lab.pass_time(lab.settings.settle_s - 1)
    lab.reconcile()
    gateway = Ref("apps/v1", "Deployment", f"p-gateway-{old}")
    assert gateway in lab.objects
    lab.pass_time(2)
    lab.reconcile()
    assert gateway not in lab.objects and lab.gateway_pods(old)
    assert Ref("apps/v1", "Deployment", f"p-compose-{old}") in lab.objects
    lab.pass_time(20)
    lab.reconcile()
    assert Ref("apps/v1", "Deployment", f"p-compose-{old}") in lab.objects, "a stage went before its gateway"
    lab.settle(20)
    assert lab.revisions == {served_by(lab)} != {old}
    assert lab.condition("Progressing")["reason"] == "RolledOut"


def test_a_revision_that_never_served_goes_at_once_when_the_next_comes(lab: Simulator) -> None:
    first = served_by(lab)
    lab.change(spec(1, image="bad"))
    lab.reconcile()
    second = newest(lab)
    lab.pass_time(3)
    lab.reconcile()
    lab.change(spec(2))
    lab.reconcile()
    assert second not in lab.revisions and first in lab.revisions and lab.selected == first
    lab.settle()
    assert lab.revisions == {served_by(lab)} and served_by(lab) not in (first, second)


def test_back_to_the_first_in_the_middle_keeps_what_serves(lab: Simulator) -> None:
    first = served_by(lab)
    lab.change(spec(1))
    lab.reconcile()
    lab.pass_time(1)
    lab.reconcile()
    lab.change(spec(0))
    lab.reconcile()
    assert lab.revisions == {first} and served_by(lab) == first
    assert lab.condition("Ready")["status"] == "True"


def test_back_to_the_first_after_the_switch_drains_the_second(lab: Simulator) -> None:
    first = served_by(lab)
    lab.change(spec(1))
    until_switched(lab, first)
    second = served_by(lab)
    lab.change(spec(0))
    lab.reconcile()
    assert served_by(lab) == first, "what still stands can serve at once"
    assert second in lab.revisions, "it may have requests to finish"
    lab.settle(30)
    assert lab.revisions == {first}


def test_a_first_revision_that_never_worked_makes_room_for_its_repair() -> None:
    lab = Simulator(behaviours=dict(BAD))
    lab.create(spec(0, image="bad"))
    lab.settle(10)
    broken = lab.selected
    lab.change(spec(1))
    lab.reconcile()
    assert lab.selected != broken and broken not in lab.revisions
    lab.settle(20)
    assert lab.endpoints


def test_a_failed_rollout_leaves_the_old_one_serving_and_says_why(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1, image="bad", deadline_s=60))
    lab.settle(90)
    assert served_by(lab) == old
    assert lab.condition("Progressing") | {"status": "False"} == lab.condition("Progressing")
    assert lab.condition("Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert f"revision {old} serves" in lab.condition("Progressing")["message"]
    degraded = lab.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "ImagePull") and '"bad"' in degraded["message"]
    assert lab.condition("Ready")["reason"] == "ImagePull"
    [row] = [row for row in lab.pipeline["status"]["stages"] if row["name"] == "compose"]
    assert (row["revision"], row["ready"], row["routable"], row["reason"]) == (old, 1, 1, "ImagePull")
    lab.behaviours["bad"] = Behaviour()
    lab.settle(40)
    assert served_by(lab) != old, "it works now, however late"
    assert lab.condition("Degraded")["status"] == "False"


def test_a_container_alone_rolls_in_place(lab: Simulator) -> None:
    revision = served_by(lab)
    lab.change(spec(0, image="stage:2"))
    lab.reconcile()
    assert lab.revisions == {revision}
    lab.pass_time(1)
    lab.reconcile()
    assert lab.condition("Progressing")["status"] == "True"
    lab.settle(60)
    images = {pod["spec"]["containers"][0]["image"] for pod in lab.pods.values() if labels.stage_of(pod)}
    assert images == {"stage:2"} and served_by(lab) == revision
    assert lab.condition("Progressing")["reason"] == "RolledOut"


def test_recreate_lets_the_old_one_go_first(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1, strategy="Recreate"))
    for _ in range(60):
        lab.reconcile()
        stages = {labels.revision_of(pod) for pod in lab.pods.values() if labels.stage_of(pod)}
        assert len(stages) <= 1, "two cohorts at a time need twice the devices"
        lab.pass_time(1)
    assert lab.revisions == {served_by(lab)} != {old}


def test_suspend_drains_gateways_before_stages_and_resume_brings_all_back(lab: Simulator) -> None:
    revision = served_by(lab)
    lab.change(spec(0, suspend=True))
    lab.reconcile()
    stage = Ref("apps/v1", "Deployment", f"p-compose-{revision}")
    assert lab.objects[Ref("apps/v1", "Deployment", f"p-gateway-{revision}")]["spec"]["replicas"] == 0
    assert lab.objects[stage]["spec"]["replicas"] == 1
    lab.settle(20)
    assert lab.objects[stage]["spec"]["replicas"] == 0 and not lab.pods
    assert lab.condition("Ready")["reason"] == "Suspended" and lab.condition("Degraded")["status"] == "False"
    assert "revision" not in lab.pipeline["status"]
    lab.change(spec(0))
    lab.reconcile()
    lab.pass_time(1)
    lab.reconcile()
    assert lab.condition("Progressing")["reason"] == "RollingOut" and lab.condition("Degraded")["status"] == "False"
    lab.settle(20)
    assert served_by(lab) == revision and lab.condition("Ready")["status"] == "True"


def test_paused_writes_nothing_but_status(lab: Simulator) -> None:
    lab.change(spec(1, paused=True))
    lab.remove(Ref("policy/v1", "PodDisruptionBudget", "p-compose"))
    decision = lab.decide()
    assert decision.apply == () and decision.delete == () and decision.status is not None
    lab.reconcile()
    assert lab.condition("Progressing")["reason"] == "Paused" == lab.condition("Ready")["reason"]
    lab.change(spec(0, paused=True))
    lab.reconcile()
    assert lab.condition("Ready")["status"] == "True", "what serves is what the manifest says"


def test_restart_rolls_in_place_and_takes_the_new_default_images(lab: Simulator) -> None:
    revision = served_by(lab)
    upgraded = Simulator(settings=SETTINGS_2, watch=lab.watch)
    upgraded.__dict__ |= {name: value for name, value in lab.__dict__.items() if name != "settings"}
    assert list(upgraded.writes_of(upgraded.decide())) == [], "a new operator rolls nothing"
    upgraded.annotate(labels.RESTART, "now")
    upgraded.settle(40)
    images = {pod["spec"]["containers"][0]["image"] for pod in upgraded.pods.values()}
    assert images == {"gateway:2", "stage:2"} and served_by(upgraded) == revision


def test_new_keys_are_a_new_cohort(lab: Simulator) -> None:
    old = served_by(lab)
    lab.annotate(labels.ROTATE_KEYS, "once")
    lab.reconcile()
    secrets = [ref for ref in lab.objects if ref.kind == "Secret"]
    assert len(secrets) == 2
    lab.settle(60)
    assert served_by(lab) != old and len([ref for ref in lab.objects if ref.kind == "Secret"]) == 1


def test_a_deleted_client_service_comes_back_for_the_cohort_that_can_serve(lab: Simulator) -> None:
    old = served_by(lab)
    lab.change(spec(1, image="bad"))
    lab.settle(8)
    lab.remove(Ref("v1", "Service", "p"))
    lab.reconcile()
    assert served_by(lab) == old


def test_a_removed_stage_keeps_its_numbers_until_the_old_cohort_has_gone(lab: Simulator) -> None:
    lab.change(spec(0, voice=True))
    lab.settle(60)
    old = served_by(lab)
    lab.change(spec(0))
    until_switched(lab, old)
    omni = Ref("omnipipe.dev/v1alpha1", "OmniStage", "p-synth")
    assert omni in lab.objects
    lab.settle(40)
    assert omni not in lab.objects and Ref("policy/v1", "PodDisruptionBudget", "p-synth") not in lab.objects


@pytest.mark.parametrize("change", ["new revision", "first"])
def test_an_operator_killed_after_any_number_of_writes_converges(change: str) -> None:
    counts = range(0, 40, 7)
    for count in counts:
        lab = Simulator(watch=Rules())
        lab.create(spec(0))
        if change == "new revision":
            lab.settle(8)
            lab.change(spec(1))
        for _ in range(4):
            lab.reconcile(most_writes=count)
        lab.settle(36, 6)
        assert lab.revisions == {served_by(lab)}
        assert lab.condition("Progressing")["reason"] == "RolledOut"


SETTINGS_2 = type(Simulator().settings)(gateway_image="gateway:2", stage_image="stage:2")
