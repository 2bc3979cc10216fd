"""The operator killed in the middle, the API server restarted under it, a second one beside it."""

import json
from pathlib import Path

import pytest
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import DEADLINE_S, eventually
from tests.cluster.namespace import Namespace, pipeline
from tests.cluster.operator.broken import DIED
from tests.cluster.operator.children import children, stands
from tests.cluster.operator.running import Operator


@pytest.mark.parametrize(("number", "before"), [(1, False), (2, True), (16, True), (33, False), (35, True)])
def test_killed_at_a_write_it_converges_without_duplicates_or_orphans(
    number: int, before: bool, control_plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    namespace.apply(pipeline())
    breaks = {"die_at_write": number, "before": before}
    with Operator(control_plane, tmp_path, namespace.name, breaks=breaks, name="dying") as dying:
        assert dying.process.wait(DEADLINE_S) == DIED, dying.said()

    with Operator(control_plane, tmp_path, namespace.name, args=("--resync-s=1",)) as operator:
        operator.wait_ready()
        stands(namespace)
        [owner] = {value["metadata"]["ownerReferences"][0]["uid"] for value in children(namespace)}
        assert owner == namespace.get("omni/assistant")["metadata"]["uid"]
        assert operator.stop() == 0


@pytest.mark.timeout(400)  # a control plane starts, or a lease runs out, on a machine that may be busy
def test_an_api_server_that_restarts_is_waited_for(control_plane: ControlPlane, tmp_path: Path) -> None:
    own = ControlPlane(control_plane.programs, tmp_path, control_plane.crds)  # the others' tests need theirs
    with own, Operator(own, tmp_path, "default", lease="default") as operator:
        namespace = Namespace(own, "default")
        namespace.apply(pipeline())
        stands(namespace)

        own.stop_apiserver()
        own.start_apiserver()
        namespace.kubectl("delete", "service/assistant", "omnistage/assistant-words")

        stands(namespace)
        assert operator.process.poll() is None
        eventually(operator.ready, "it is ready again")


@pytest.mark.timeout(400)  # a control plane starts, or a lease runs out, on a machine that may be busy
def test_the_next_leads_when_the_leader_is_killed_and_at_once_when_it_is_told_to_stop(
    control_plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    def operator(name: str) -> Operator:
        return Operator(control_plane, tmp_path, namespace.name, lease=namespace.name, name=name)

    def leads(one: Operator) -> bool:
        return one.metric("omnipipe_operator_leader") == 1

    with operator("first") as first, operator("second") as second:
        eventually(lambda: leads(first) or leads(second), "one leads")
        eventually(lambda: first.ready() and second.ready(), "both are ready")
        leader, other = (first, second) if leads(first) else (second, first)
        assert not leads(other)

        leader.process.kill()
        namespace.apply(pipeline())
        eventually(lambda: leads(other), "the other leads")
        stands(namespace)

        with operator("third") as third:
            third.wait_ready()
            assert not leads(third)
            held_by = holder(namespace)
            assert other.stop() == 0
            assert holder(namespace) != held_by, "it gave the lease back: nobody waits until that runs out"
            eventually(lambda: leads(third), "the third leads")


def holder(namespace: Namespace) -> str:
    return str(namespace.get("lease/omnipipe-operator")["spec"].get("holderIdentity", ""))


def test_a_leader_that_lost_its_lease_stops(control_plane: ControlPlane, namespace: Namespace, tmp_path: Path) -> None:
    with Operator(control_plane, tmp_path, namespace.name, lease=namespace.name) as operator:
        eventually(lambda: operator.metric("omnipipe_operator_leader") == 1, "it leads")

        patch = json.dumps({"spec": {"holderIdentity": "somebody else"}})
        namespace.kubectl("patch", "lease/omnipipe-operator", "--type=merge", "-p", patch)

        assert operator.process.wait(DEADLINE_S) == 4
        assert operator.said().splitlines()[-1].startswith("omnipipe-operator: the lease")
