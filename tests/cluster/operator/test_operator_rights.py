"""The rights that the operator needs: with exactly these it does all of its work without being refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, Object, pipeline
from tests.cluster.operator.children import children, condition, stands
from tests.cluster.operator.pods import GATEWAY, set_status
from tests.cluster.operator.running import Operator

CHILD = ["get", "list", "watch", "create", "patch", "delete"]
RULES: list[Object] = [
    {"apiGroups": ["omnipipe.dev"], "resources": ["omnipipelines"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["omnipipe.dev"], "resources": ["omnipipelines/status", "omnistages/status"], "verbs": ["patch"]},
    {"apiGroups": ["omnipipe.dev"], "resources": ["omnipipelines/finalizers"], "verbs": ["update"]},
    {"apiGroups": ["omnipipe.dev"], "resources": ["omnistages"], "verbs": CHILD},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": CHILD},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": CHILD},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": CHILD},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": CHILD},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies", "ingresses"], "verbs": CHILD},
    {
        "apiGroups": [""], "resources": ["configmaps", "secrets", "services", "persistentvolumeclaims"],
        "verbs": CHILD,
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "list"]},
]  # fmt: skip
LEASE = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}]
REFUSED = ("not allowed", "forbidden", "Traceback", "this is a bug")


def role(kind: str, name: str, namespace: str, rules: list[Object]) -> str:
    """A role, and its binding to the service account `operator`."""
    group = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    made = [
        {"kind": kind, "metadata": {"name": name}, "rules": rules},
        {"kind": f"{kind}Binding", "metadata": {"name": name}, "subjects": [account],
         "roleRef": {"apiGroup": group, "kind": kind, "name": name}},
    ]  # fmt: skip
    return yaml.safe_dump_all([{"apiVersion": f"{group}/v1", **value} for value in made])


@pytest.fixture(params=["Role", "ClusterRole"])
def limited(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> Iterator[Operator]:
    """For one namespace, or for all; leads by a lease in that namespace."""
    name = namespace.name
    namespace.kubectl("create", "serviceaccount", "operator")
    namespace.kubectl("create", "-f", "-", stdin=role(request.param, f"{name}-operator", name, RULES))
    namespace.kubectl("create", "-f", "-", stdin=role("Role", "lease", name, LEASE))
    kubeconfig = control_plane.kubeconfig_of(name, "operator")
    only = (name,) if request.param == "Role" else ()
    with Operator(control_plane, tmp_path, *only, lease=name, kubeconfig=kubeconfig) as operator:
        yield operator
    if request.param == "ClusterRole":
        for kind in ("clusterrolebinding", "clusterrole"):
            namespace.kubectl("delete", kind, f"{name}-operator")


def test_with_exactly_these_rights_it_is_never_refused(limited: Operator, namespace: Namespace) -> None:
    limited.wait_ready()
    namespace.apply(pipeline())
    stands(namespace)
    eventually(lambda: len(namespace.get("pods", "-l", GATEWAY)["items"]) == 1, "there is a gateway pod")
    name = namespace.get("pods", "-l", GATEWAY)["items"][0]["metadata"]["name"]
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    container = {"name": "gateway", "ready": False, "restartCount": 2, "image": "x", "imageID": "x", "started": False,
                 "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}  # fmt: skip
    set_status(namespace, name, {"phase": "Running", "containerStatuses": [container]})
    eventually(lambda: condition(namespace, "Degraded")[0] == "True", "the crash is told")

    namespace.apply(pipeline({"disruptionBudget": {"enabled": False}}))
    eventually(
        lambda: not [value for value in children(namespace) if value["kind"] == "PodDisruptionBudget"], "they have gone"
    )

    said = limited.log.read_text()
    assert [line for line in said.splitlines() if any(word in line for word in REFUSED)] == []
