"""Who may do what once the chart is installed, asked of the API server as those who ask it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.chart.helm import CHART, Helm
from tests.cluster.chart.options import namespaced
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import eventually
from tests.cluster.namespace import Namespace, Refused, pipeline

RELEASE = "omni-rights"
ACCOUNT = f"{RELEASE}-omnipipe"

NEEDED = [
    "list omnipipelines.omnipipe.dev",
    "watch omnipipelines.omnipipe.dev",
    "patch omnipipelines.omnipipe.dev --subresource=status",
    "patch omnistages.omnipipe.dev --subresource=status",
    "create deployments.apps",
    "patch services",
    "delete configmaps",
    "get secrets",
    "get pods --subresource=log",
    "create events",
    "watch podmonitors.monitoring.coreos.com",
    "delete httproutes.gateway.networking.k8s.io",
]
REFUSED = [
    "create omnipipelines.omnipipe.dev",
    "patch omnipipelines.omnipipe.dev",
    "delete omnipipelines.omnipipe.dev",
    "create pods",
    "delete pods",
    "create pods --subresource=exec",
    "deletecollection secrets",
    "update deployments.apps",
    "create serviceaccounts",
    "create serviceaccounts --subresource=token",
    "create roles.rbac.authorization.k8s.io",
    "create rolebindings.rbac.authorization.k8s.io",
    "delete namespaces",
    "create daemonsets.apps",
]
CLUSTERS = [
    "list nodes",
    "list namespaces",
    "get customresourcedefinitions.apiextensions.k8s.io",
    "patch validatingwebhookconfigurations.admissionregistration.k8s.io",
    "create clusterroles.rbac.authorization.k8s.io",
    "impersonate users",
]
"""Asked of the cluster, not of a namespace; none is allowed."""


@pytest.fixture(scope="module")
def bound(helm_program: Any, bare: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A namespace with a release that looks after `watched` alone."""
    system = Namespace(bare, "rights-system")
    for name in (system.name, "watched", "foreign"):
        system.kubectl("create", "namespace", name)
    helm = Helm(helm_program, tmp_path_factory.mktemp("helm"), bare.kubeconfig)
    helm("install", RELEASE, CHART, f"--namespace={system.name}", values=namespaced("watched"))
    yield system
    helm("uninstall", RELEASE, f"--namespace={system.name}")
    system.kubectl("delete", "crd", "omnipipelines.omnipipe.dev", "omnistages.omnipipe.dev")
    system.kubectl("delete", "namespace", system.name, "watched", "foreign", "--wait=false")


def can(system: Namespace, account: str, namespace: str, what: str) -> bool:
    """Raises Refused for a question that is wrong itself."""
    who = f"--as=system:serviceaccount:{system.name}:{account}"
    asked = system.control_plane.kubectl("auth", "can-i", *what.split(), who, f"--namespace={namespace}")
    if asked.stdout.strip() not in ("yes", "no"):
        raise Refused(asked.stderr)
    return asked.stdout.strip() == "yes"


@pytest.mark.parametrize("what", NEEDED)
def test_it_may_do_what_it_has_to_in_the_watched_namespace_and_there_alone(what: str, bound: Namespace) -> None:
    assert can(bound, ACCOUNT, "watched", what)
    assert not can(bound, ACCOUNT, "foreign", what)
    assert not can(bound, ACCOUNT, bound.name, what)


@pytest.mark.parametrize("what", [*REFUSED, *CLUSTERS])
def test_it_may_do_nothing_else(what: str, bound: Namespace) -> None:
    assert not can(bound, ACCOUNT, "watched", what)


def test_one_lease_is_its_own(bound: Namespace) -> None:
    for verb in ("get", "update"):
        assert can(bound, ACCOUNT, bound.name, f"{verb} leases.coordination.k8s.io/omnipipe-operator")
        assert not can(bound, ACCOUNT, bound.name, f"{verb} leases.coordination.k8s.io/another")
    assert not can(bound, ACCOUNT, "watched", "get leases.coordination.k8s.io/omnipipe-operator")


def test_it_may_own_children_that_block_the_deletion_of_a_pipeline(bound: Namespace) -> None:
    """This API server checks that, which most do not."""
    watched = Namespace(bound.control_plane, "watched")
    watched.apply(pipeline())
    owner = watched.get("omnipipelines.omnipipe.dev/assistant")
    reference = {key: owner[key] for key in ("apiVersion", "kind")} | {
        "name": "assistant", "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan", "ownerReferences": [reference]}}

    who = f"--as=system:serviceaccount:{bound.name}:{ACCOUNT}"
    watched.kubectl("apply", "--server-side", who, "-f", "-", stdin=yaml.safe_dump(child))


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        (
            "view",
            ["list omnipipelines.omnipipe.dev", "get omnistages.omnipipe.dev"],
            ["create omnipipelines.omnipipe.dev"],
        ),
        (
            "edit",
            ["create omnipipelines.omnipipe.dev", "patch omnistages.omnipipe.dev --subresource=scale"],
            ["patch omnipipelines.omnipipe.dev --subresource=status", "patch omnistages.omnipipe.dev"],
        ),
        (
            "admin",
            ["delete omnipipelines.omnipipe.dev", "watch omnistages.omnipipe.dev"],
            ["patch omnipipelines.omnipipe.dev --subresource=status"],
        ),
    ],
)  # fmt: skip
def test_the_clusters_own_roles_speak_of_pipelines(
    role: str, allowed: list[str], refused: list[str], bound: Namespace
) -> None:
    account = f"person-{role}"
    Namespace(bound.control_plane, "watched").kubectl(
        "create", "rolebinding", account, f"--clusterrole={role}", f"--serviceaccount={bound.name}:{account}"
    )
    eventually(lambda: can(bound, account, "watched", allowed[0]), "the controller has gathered the rules")

    assert [what for what in allowed if not can(bound, account, "watched", what)] == []
    assert [what for what in refused if can(bound, account, "watched", what)] == []


def test_in_the_whole_cluster_it_may_do_the_same_everywhere(live: Helm, system: Namespace) -> None:
    release = f"{RELEASE}-all"
    live("install", release, CHART, f"--namespace={system.name}", "--set=crds.install=false,rbac.aggregate=false")
    try:
        account = f"{release}-omnipipe"
        assert [what for what in NEEDED if not can(system, account, "foreign", what)] == []
        assert [what for what in (*REFUSED, *CLUSTERS) if can(system, account, "foreign", what)] == []
    finally:
        live("uninstall", release, f"--namespace={system.name}")
