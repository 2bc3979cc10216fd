"""The status as people and `kubectl wait` read it."""

import copy
from typing import Any

import pytest
from tests.unit.operator.decide.pods import container, pod
from tests.unit.operator.decide.simulator import SETTINGS, Behaviour, Simulator
from tests.unit.operator.decide.specs import spec

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_object
from omnipipe.spec.status import PipelineStatus
from omnipipe_operator.children import labels
from omnipipe_operator.decide import decide
from omnipipe_operator.instants import written_instant
from omnipipe_operator.observed import Object, Observed, Ref


@pytest.fixture
def lab() -> Simulator:
    one = Simulator(behaviours={"bad": Behaviour(stuck="crash")})
    one.create(spec(0))
    one.settle(12)
    return one


def conditions(lab: Simulator, observed: Observed | None = None) -> dict[str, Object]:
    decision = decide(observed or lab.observe(), lab.settings)
    assert decision.status is not None
    PipelineStatus.model_validate(decision.status)
    return {condition["type"]: condition for condition in decision.status["conditions"]}


def changed(observed: Observed, **values: Any) -> Observed:
    kept = {name: getattr(observed, name) for name in Observed.__dataclass_fields__}
    return Observed(**{**kept, **values})


def test_a_settled_pipeline(lab: Simulator) -> None:
    status = lab.pipeline["status"]
    kinds = {condition["type"]: (condition["status"], condition["reason"]) for condition in status["conditions"]}
    assert kinds == {
        "Accepted": ("True", "Valid"),
        "ModelReady": ("True", "NoWeightsNeeded"),
        "Progressing": ("False", "RolledOut"),
        "Ready": ("True", "AllStagesRoutable"),
        "Degraded": ("False", "AsExpected"),
    }
    assert status["readyStages"] == "4/4" and status["url"] == "http://p.lab.svc/v1"
    assert status["revision"] == lab.selected and "updateRevision" not in status
    assert status["observedGeneration"] == 1
    assert lab.decide().again_after_s is None, "nothing is waited for that nobody tells"


def test_decide_leaves_what_it_is_given_alone(lab: Simulator) -> None:
    lab.change(spec(1))
    observed = lab.observe()
    before = copy.deepcopy(observed)
    decide(observed, SETTINGS)
    assert observed == before


def test_times_stand_as_long_as_a_status_does(lab: Simulator) -> None:
    before = lab.condition("Ready")["lastTransitionTime"], lab.condition("Accepted")["lastTransitionTime"]
    lab.pass_time(100)
    lab.change(spec(1, image="bad"))
    lab.settle(8)
    after = lab.condition("Ready")["lastTransitionTime"], lab.condition("Accepted")["lastTransitionTime"]
    assert after[0] > before[0] and after[1] == before[1]
    assert lab.condition("Ready")["observedGeneration"] == 2


def test_an_invalid_manifest_is_refused_in_the_words_of_validate_and_nothing_is_touched(lab: Simulator) -> None:
    wrong = spec(0)
    wrong["stages"][0]["name"] = "inhale"
    wrong["gateway"] = {"maxRetries": 99}
    lab.change(wrong)
    decision = lab.decide()
    with pytest.raises(ManifestError) as error:
        read_object(lab.pipeline, find_family, family_names())
    found = conditions(lab)
    assert decision.apply == () and decision.delete == ()
    assert (found["Accepted"]["status"], found["Accepted"]["reason"]) == ("False", "Invalid")
    assert found["Accepted"]["message"] == str(error.value)
    assert found["Ready"]["reason"] == "Invalid" and lab.endpoints
    assert decision.status is not None and decision.status["revision"] == lab.selected
    assert decision.status["readyStages"] == "4/4" and decision.status["url"] == "http://p.lab.svc/v1"
    assert [note.reason for note in decision.notes if note.type == "Warning"] == ["Invalid"]


def test_gateways_have_the_last_word_on_readiness(lab: Simulator) -> None:
    observed = lab.observe()
    [report] = observed.gateways
    rows = dict(report.stages)
    rows["words"] = type(rows["words"])(1, 0, 0, 0)
    told = type(report)(report.pod, report.revision, False, False, 0, rows)
    found = conditions(lab, changed(observed, gateways=(told,)))
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "NotRoutable")
    assert "words" in found["Ready"]["message"]
    assert (found["Degraded"]["status"], found["Degraded"]["reason"]) == ("True", "NotRoutable")
    status = decide(changed(observed, gateways=(told,)), SETTINGS).status
    assert status is not None and status["readyStages"] == "3/4"


def test_without_an_answer_the_gateways_own_readiness_counts(lab: Simulator) -> None:
    lab.answers = False
    assert conditions(lab)["Ready"]["status"] == "True"
    assert list(lab.writes_of(lab.decide())) == []


def test_a_new_gateway_that_still_connects_does_not_unsettle_the_rows(lab: Simulator) -> None:
    observed = lab.observe()
    [report] = observed.gateways
    young = copy.deepcopy(next(one for one in observed.pods if one["metadata"]["name"] == report.pod))
    young["metadata"]["name"] = "p-gateway-young"
    young["status"] = {"phase": "Running", "conditions": []}
    rows = {name: type(row)(1, 0, 0, 0) for name, row in report.stages.items()}
    blind = type(report)("p-gateway-young", report.revision, False, False, 0, rows)
    both = changed(observed, pods=(*observed.pods, young), gateways=(report, blind))
    assert conditions(lab, both)["Ready"]["status"] == "True"


def test_no_gateway(lab: Simulator) -> None:
    gone = tuple(one for one in lab.observe().pods if labels.component_of(one) != "gateway")
    found = conditions(lab, changed(lab.observe(), pods=gone, gateways=()))
    assert found["Ready"]["reason"] == "NoGateway" == found["Degraded"]["reason"]


def test_an_evicted_pod_that_has_been_replaced_is_history(lab: Simulator) -> None:
    observed = lab.observe()
    mine = [one for one in observed.pods if one["metadata"]["name"].startswith(("p-gateway", "p-words"))]
    evicted = copy.deepcopy(mine)
    for one in evicted:
        one["metadata"]["name"] += "-old"
        one["status"] = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    found = conditions(lab, changed(observed, pods=(*observed.pods, *evicted)))
    assert (found["Ready"]["status"], found["Degraded"]["status"]) == ("True", "False")
    without = tuple(one for one in observed.pods if not one["metadata"]["name"].startswith("p-words"))
    found = conditions(lab, changed(observed, pods=(*without, *evicted)))
    assert found["Degraded"]["reason"] == "Evicted"


def test_a_name_that_another_has_is_left_to_it(lab: Simulator) -> None:
    ref = Ref("policy/v1", "PodDisruptionBudget", "p-compose")
    lab.objects[ref]["metadata"]["ownerReferences"] = [{"uid": "another", "controller": True}]
    lab.objects[ref]["spec"]["maxUnavailable"] = 7
    decision = lab.decide()
    found = conditions(lab)
    assert all(value["metadata"]["name"] != ref.name or value["kind"] != ref.kind for value in decision.apply)
    assert ref not in decision.delete
    assert (found["Degraded"]["status"], found["Degraded"]["reason"]) == ("True", "NameConflict")
    assert "PodDisruptionBudget p-compose" in found["Degraded"]["message"]
    assert found["Ready"]["status"] == "True"


def test_what_the_api_server_refuses_is_told(lab: Simulator) -> None:
    ref = Ref("apps/v1", "Deployment", "p-compose-x")
    found = conditions(lab, changed(lab.observe(), refusals={ref: "exceeded quota: gpus"}))
    assert found["Degraded"]["reason"] == "ApplyRefused" and "exceeded quota: gpus" in found["Degraded"]["message"]


def test_a_quota_is_told_for_the_stage_it_stops(lab: Simulator) -> None:
    lab.change(spec(1, image="bad"))
    lab.settle(4)
    for ref, value in lab.objects.items():
        if ref.kind == "Deployment" and ref.name.startswith("p-compose"):
            value["status"]["conditions"].append(
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
            )
    status = lab.decide().status
    assert status is not None
    [row] = [row for row in status["stages"] if row["name"] == "compose"]
    assert row["reason"] == "QuotaExceeded" and "exceeded quota" in row["message"]


def test_other_refusals_of_pods_are_no_quota(lab: Simulator) -> None:
    lab.change(spec(1, image="bad"))
    lab.settle(4)
    said = 'pod rejected: RuntimeClass "none" not found'
    for ref, value in lab.objects.items():
        if ref.kind == "Deployment" and ref.name.startswith("p-compose"):
            value["status"]["conditions"].append(
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
            )
    found = conditions(lab)
    assert found["Degraded"]["reason"] == "PodRefused" and said in found["Degraded"]["message"]


def test_the_crash_is_told_with_its_last_line(lab: Simulator) -> None:
    lab.change(spec(1, image="bad"))
    lab.settle(6)
    observed = lab.observe()
    crashed = [one["metadata"]["name"] for one in observed.pods if one["status"]["phase"] == "Pending"]
    found = conditions(lab, changed(observed, last_log_lines=dict.fromkeys(crashed, "KeyError: 'weights'")))
    assert found["Ready"]["reason"] == "CrashLoop"
    assert "exited with code 13; it wrote last: KeyError: 'weights'; revision" in found["Ready"]["message"]


def test_very_long_words_stay_within_the_bounds_of_the_schema(lab: Simulator) -> None:
    wrong = spec(0)
    wrong["stages"] = [{"name": "x" * 19 + str(n), "type": "nothing" * 8, "params": {}} for n in range(10)]
    wrong["edges"] = [{"from": "no" * 10, "to": "way" * 6} for _ in range(64)]
    lab.change(wrong)
    assert len(conditions(lab)["Accepted"]["message"]) <= 8192


def test_a_pipeline_that_is_being_deleted_is_left_to_the_garbage_collector(lab: Simulator) -> None:
    lab.pipeline["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    decision = lab.decide()
    assert decision.apply == () and decision.delete == () and decision.status is None


def test_a_pod_that_only_wears_our_labels_is_nobody(lab: Simulator) -> None:
    stray = pod("stray")
    stray["metadata"]["labels"] = {labels.PIPELINE: "p", labels.REVISION: "Not A Revision!", labels.STAGE: "compose"}
    stray["status"]["containerStatuses"] = [container({"waiting": {"reason": "ImagePullBackOff"}})]
    observed = lab.observe()
    assert decide(changed(observed, pods=(*observed.pods, stray)), SETTINGS) == decide(observed, SETTINGS)


def test_ready_waits_until_nodes_know_where_the_gateway_is(lab: Simulator) -> None:
    """`kubectl wait` and then `curl`: the first connection must not be refused."""

    def seen(ago_s: float, *, was_ready: bool) -> Observed:
        observed = copy.deepcopy(lab.observe())
        for one in observed.pods:
            for condition in one["status"]["conditions"]:
                condition["lastTransitionTime"] = written_instant(observed.now - ago_s)
        if not was_ready:
            del observed.pipeline["status"]
        return observed

    assert conditions(lab, seen(1, was_ready=False))["Ready"]["reason"] == "Starting"
    assert decide(seen(1, was_ready=False), SETTINGS).again_after_s is not None
    assert conditions(lab, seen(3, was_ready=False))["Ready"]["status"] == "True"
    assert conditions(lab, seen(1, was_ready=True))["Ready"]["status"] == "True", "it does not flap"
    assert conditions(lab, seen(-3600, was_ready=False))["Ready"]["status"] == "True", "clocks differ"
